/**
 * Runs one command to its end, in a process group of its own, so that an abort or the time limit
 * ends everything it started and a terminal's Ctrl-C does not reach it behind our back.
 * Throws the signal's reason when aborted, Fault `timeout` when it takes too long and
 * Fault `missing_tool` when there is no such command; a failing command is an ordinary answer.
 */

import { spawn } from "node:child_process";
import { fault } from "@outrider/event";
import type { Env } from "./host.ts";

export type RunOptions = Readonly<{
  timeoutMs: number;
  env: Env;
  cwd?: string;
  signal?: AbortSignal;
  onLine?: (line: string) => void;
  /** Run as this user; only root may ask for it. */
  uid?: number;
  gid?: number;
}>;

export type RunResult = Readonly<{
  /** Exit code; 128 when a signal ended it. */
  code: number;
  /** The last 32,768 characters of stdout and stderr together. */
  output: string;
}>;

const outputCharsMax = 32_768;
const killAfterMs = 2_000;

export const run = async (
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<RunResult> => {
  options.signal?.throwIfAborted();
  const { cwd, env, uid, gid } = options;
  const child = spawn(command, args, {
    cwd,
    env: { ...env },
    uid,
    gid,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let pending = "";
  const take = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-outputCharsMax);
    const lines = (pending + chunk.toString()).split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) options.onLine?.(line);
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", (cause) =>
      reject(fault("missing_tool", `${command} cannot be started.`, { cause })),
    );
    child.once("close", (code) => resolve(code ?? 128));
  });
  const stopped = stopOn(child.pid, options);
  try {
    const code = await ended;
    stopped.throwIfStopped();
    return { code, output };
  } finally {
    stopped.release();
  }
};

/** Ends the group of `pid` at the time limit or on abort, and remembers why. */
const stopOn = (pid: number | undefined, options: RunOptions) => {
  let reason: unknown;
  let killTimer: NodeJS.Timeout | undefined;
  const stop = (why: unknown) => {
    reason ??= why;
    signalGroup(pid, "SIGTERM");
    killTimer ??= setTimeout(() => signalGroup(pid, "SIGKILL"), killAfterMs);
  };
  const onAbort = () => stop(options.signal?.reason);
  options.signal?.addEventListener("abort", onAbort, { once: true });
  const timer = setTimeout(
    () => stop(fault("timeout", `A command took longer than ${options.timeoutMs} ms.`)),
    options.timeoutMs,
  );
  return {
    throwIfStopped: () => {
      if (reason !== undefined) throw reason;
    },
    release: () => {
      clearTimeout(timer);
      clearTimeout(killTimer);
      options.signal?.removeEventListener("abort", onAbort);
    },
  };
};

/** Sends a signal to a process group; false when it is gone. */
export const signalGroup = (pid: number | undefined, name: NodeJS.Signals): boolean => {
  if (pid === undefined) return false;
  try {
    process.kill(-pid, name);
    return true;
  } catch {
    return false;
  }
};
