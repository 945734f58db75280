/**
 * Keeps one app running: starts it, waits until it says that it is ready, and starts it again with
 * back-off when it dies. `start` throws Fault `unavailable` with the end of the log when the app
 * does not become ready; the signal's reason when aborted.
 */

import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import { startChild, tailOf, waitFor } from "@outrider/stack";
import type { Child, ChildSpec, Report } from "@outrider/stack";
import { deathsAfter, restartDelayMs } from "./backoff.ts";

export type Supervised = Readonly<{
  pid(): number;
  /** Resolves when it is gone; it is not started again. */
  stop(killAfterMs: number): Promise<void>;
}>;

export type SupervisorDeps = Readonly<{
  report: Report;
  signal: AbortSignal;
  /** Told of each process that is started. */
  onStart(child: Child): void;
  /** Told of each new process after the first. */
  onRestart(child: Child): void;
}>;

const readyTimeoutMs = 30_000;
const probeTimeoutMs = 2_000;
const pollMs = 50;
/** An app that never was ready and has died this often will not get there by itself. */
const startDeathsMax = 3;

export const supervise = async (
  deps: SupervisorDeps,
  spec: ChildSpec & Readonly<{ readyUrl: string }>,
): Promise<Supervised> => {
  const stopping = new AbortController();
  let deaths = 0;
  let restarting: Promise<void> | undefined;
  let child: Child;

  const start = async (): Promise<Child> => {
    const started = await startChild(spec);
    deps.onStart(started);
    const startedMs = performance.now();
    void started.exited.then((code) => onExit(code, performance.now() - startedMs));
    return started;
  };

  const restart = async (waitMs: number): Promise<void> => {
    try {
      await delay(waitMs, undefined, { signal: stopping.signal });
      child = await start();
      deps.onRestart(child);
      deps.report.say(`${spec.name} runs again (pid ${child.pid})`);
    } catch (error) {
      if (!stopping.signal.aborted) deps.report.say(`${spec.name} could not be started: ${error}`);
    }
  };

  const onExit = (code: number, livedMs: number): void => {
    if (stopping.signal.aborted) return;
    deaths = deathsAfter(deaths, livedMs);
    const waitMs = restartDelayMs(deaths);
    const why = code === 128 ? "was killed by a signal" : `ended with exit code ${code}`;
    deps.report.say(`${spec.name} ${why}; starting it again in ${waitMs / 1000} s`);
    restarting = restart(waitMs);
  };

  const stop = async (killAfterMs: number): Promise<void> => {
    stopping.abort();
    // A process that is being started in this moment has to be stopped, too.
    await restarting;
    await child.stop(killAfterMs);
  };

  child = await start();
  try {
    const wait = { what: `${spec.name} to be ready`, timeoutMs: readyTimeoutMs, pollMs };
    await waitFor({ ...wait, signal: deps.signal }, async () => {
      if (deaths >= startDeathsMax) throw new Error("it dies at once");
      return (await answersOk(spec.readyUrl)) ? "ready" : undefined;
    });
  } catch (cause) {
    await stop(probeTimeoutMs);
    deps.signal.throwIfAborted();
    const message = `${spec.name} did not become ready; the end of ${spec.logFile}:\n`;
    throw fault("unavailable", message + tailOf(spec.logFile), { cause });
  }
  return { pid: () => child.pid, stop };
};

const answersOk = async (url: string): Promise<boolean> => {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(probeTimeoutMs) })).ok;
  } catch {
    return false;
  }
};
