/**
 * A process that runs for long: in a session of its own, so that a terminal's Ctrl-C reaches it
 * only through us, and with its output in a log file. Stopping asks first and then insists.
 */

import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
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
  /** Asks, and kills after `killAfterMs`; resolves when it is gone. */
  stop(killAfterMs: number): Promise<void>;
}>;

const logBytesMax = 10 * 1024 * 1024;

/** Starts a child. Throws Fault `missing_tool` when its command cannot be run. */
export const startChild = async (spec: ChildSpec): Promise<Child> => {
  mkdirSync(dirname(spec.logFile), { recursive: true });
  rotate(spec.logFile);
  const log = openSync(spec.logFile, "a");
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
  return { name: spec.name, pid, stopSignal, exited, isRunning: () => running, stop };
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
