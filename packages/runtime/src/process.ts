/**
 * A process from start to end, on Bun and on Node. SIGTERM and SIGINT stop it gracefully: what was
 * registered is released, last first, within the stop timeout; a second signal ends it at once.
 * An error that nobody caught ends it, since nothing is known about its state any more.
 */

import { withoutParameters } from "@outrider/event";
import type { Logger } from "pino";
import { createReleasers } from "./releasers.ts";
import type { OnStop } from "./releasers.ts";

export type ProcessSettings = Readonly<{
  name: string;
  log: Logger;
  /**
   * From the signal to the end, which together may take 10 s; what is not released by then is
   * abandoned, exit code 1.
   */
  stopTimeoutMs?: number;
}>;

/** Resolves when `start` has; when that fails, says why and exits with 1. */
export const runProcess = async (
  { name, log, stopTimeoutMs = 9000 }: ProcessSettings,
  start: (onStop: OnStop) => Promise<void>,
): Promise<void> => {
  const releasers = createReleasers(log, stopTimeoutMs);
  const end = async (exitCode: number): Promise<void> => {
    // A releaser that blocks the event loop's timers cannot be helped, one that hangs can.
    setTimeout(() => endProcess(1), stopTimeoutMs).unref();
    const released = await releasers.release();
    log.info({}, `${name} has stopped`);
    endProcess(released ? exitCode : 1);
  };

  let stopping = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (stopping) endProcess(1);
      stopping = true;
      log.info({ signal }, `${name} is stopping`);
      void end(0);
    });
  }
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (err: unknown) => {
      log.fatal({ err }, `${name} ends: nobody caught an error`);
      endProcess(1);
    });
  }

  try {
    await start(releasers.onStop);
    if (!stopping) log.info({}, `${name} has started`);
  } catch (err) {
    // While stopping, what start waits for is being closed under it.
    if (stopping) return;
    stopping = true;
    log.fatal({ err }, `${name} could not start: ${messageOf(err)}`);
    await end(1);
  }
};

/**
 * Node's `process.exit` joins the threads of libuv's pool, for ever if one hangs in a native call.
 * Another program in the process's place ends them all, whatever they are at, and keeps number and
 * exit code, also as the first process of a container, which no signal of its own ends.
 */
const endProcess: (exitCode: number) => never = (exitCode) => {
  const { execve, execPath, versions } = process;
  if (execve && !versions.bun && process.platform !== "win32") {
    execve(execPath, [execPath, "-e", `process.exit(${exitCode})`], {});
  }
  process.exit(exitCode);
};

const messageOf = (error: unknown): string =>
  withoutParameters(
    error instanceof Error ? error.message || String(error.cause ?? error.name) : String(error),
  );
