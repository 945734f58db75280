/**
 * A process that runs for long: in a session of its own, so that a terminal's Ctrl-C reaches it
 * only through us, and with its output in a log file. Stopping asks first and then insists.
 */

import { spawn } from "node:child_process";
import { chmodSync, closeSync, fstatSync, mkdirSync, openSync } from "node:fs";
import { readFileSync, readSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { Env } from "./host.ts";
import { signalGroup } from "./run.ts";

export type ChildSpec = Readonly<{
  name: string;
  command: string;
  args: readonly string[];
  cwd: string;
  env: Env;
  logFile: string;
  /** What asks it to end; default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  uid?: number;
  gid?: number;
}>;

export type Child = Readonly<{
  name: string;
  pid: number;
  stopSignal: NodeJS.Signals;
  /** Resolves with the exit code, or 128 when a signal ended it. */
  exited: Promise<number>;
  isRunning(): boolean;
  /** What it has written since it was started, the end of it. */
  log(): string;
  /** Asks, and kills after `killAfterMs`; resolves when it is gone. */
  stop(killAfterMs: number): Promise<void>;
}>;

const logBytesMax = 10 * 1024 * 1024;
/** Of what a child has written, for whoever looks for its last words. */
const wordsBytesMax = 64 * 1024;
/** What others write into their logs is no business of the machine's other users. */
const [ownFolder, ownFile] = [0o700, 0o600];

/** Starts a child. Throws Fault `missing_tool` when its command cannot be run. */
export const startChild = async (spec: ChildSpec): Promise<Child> => {
  mkdirSync(dirname(spec.logFile), { recursive: true, mode: ownFolder });
  rotate(spec.logFile);
  const log = openSync(spec.logFile, "a", ownFile);
  // One of an older version may be there already.
  chmodSync(spec.logFile, ownFile);
  const logFrom = fstatSync(log).size;
  const child = spawn(spec.command, spec.args, {
    cwd: spec.cwd,
    env: { ...spec.env },
    uid: spec.uid,
    gid: spec.gid,
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  let running = true;
  const exited = new Promise<number>((resolve) => {
    child.once("exit", (code) => {
      running = false;
      resolve(code ?? 128);
    });
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (cause) =>
      reject(fault("missing_tool", `${spec.name} cannot be started.`, { cause })),
    );
  });
  const pid = child.pid;
  if (pid === undefined) throw fault("missing_tool", `${spec.name} cannot be started.`);
  const stopSignal = spec.stopSignal ?? "SIGTERM";
  const stop = async (killAfterMs: number) => {
    if (!running) return;
    child.kill(stopSignal);
    const killer = new AbortController();
    const kill = delay(killAfterMs, undefined, { signal: killer.signal }).then(
      () => void signalGroup(pid, "SIGKILL"),
      () => {},
    );
    await exited;
    killer.abort();
    await kill;
  };
  return {
    name: spec.name,
    ...{ pid, stopSignal, exited, stop },
    isRunning: () => running,
    log: () => readFrom(spec.logFile, logFrom),
  };
};

/** The file from `position` on, or its end where that is more than anybody reads. */
const readFrom = (path: string, position: number): string => {
  try {
    const file = openSync(path, "r");
    try {
      const { size } = fstatSync(file);
      const start = Math.max(position, size - wordsBytesMax);
      const buffer = Buffer.alloc(Math.max(size - start, 0));
      return buffer.toString("utf8", 0, readSync(file, buffer, 0, buffer.length, start));
    } finally {
      closeSync(file);
    }
  } catch {
    return "";
  }
};

/** Keeps one older log file beside a large one. */
const rotate = (logFile: string): void => {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size > logBytesMax) renameSync(logFile, `${logFile}.1`);
};

/** The last lines of a log file, for whoever has to find out why a child died. */
export const tailOf = (logFile: string, lines = 15): string => {
  try {
    return readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "";
  }
};
