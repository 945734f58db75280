/**
 * Keeps one app running: starts it, waits until it says that it is ready, and starts it again with
 * back-off when it dies, saying each time why. `start` throws Fault `unavailable` with the app's
 * last words when it does not become ready, that of `portTaken` when another process has its port;
 * the signal's reason when aborted.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import { isTaken, lastWord, lastWords, portTaken, startChild, waitFor } from "@outrider/stack";
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

/** It listens on `port` of loopback, and answers there whether it is ready. */
export type AppProcess = ChildSpec & Readonly<{ port: number }>;

const readyTimeoutMs = 60_000;
const probeTimeoutMs = 2_000;
const pollMs = 50;
/** An app that never was ready and has died this often will not get there by itself. */
const startDeathsMax = 3;
/** The header of readiness answers that says whose process it is. */
const runHeader = "outrider-run";

export const supervise = async (deps: SupervisorDeps, spec: AppProcess): Promise<Supervised> => {
  const stopping = new AbortController();
  let deaths = 0;
  let end: End | undefined;
  let restarting: Promise<void> | undefined;
  let child: Child;
  /** The process that answers has it from us: another one on the port does not count. */
  let run = "";

  const start = async (): Promise<Child> => {
    run = randomUUID();
    const started = await startChild({ ...spec, env: { ...spec.env, OUTRIDER_RUN: run } });
    deps.onStart(started);
    const startedMs = performance.now();
    void started.exited.then((code) => onExit(started, code, performance.now() - startedMs));
    return started;
  };

  const restart = async (waitMs: number): Promise<void> => {
    const step = deps.report.step(spec.name);
    try {
      step.note(`${end?.why}; starting it again in ${waitMs / 1000} s`);
      await delay(waitMs, undefined, { signal: stopping.signal });
      child = await start();
      deps.onRestart(child);
      deps.report.say(`${spec.name} runs again (pid ${child.pid})`);
    } catch (error) {
      if (!stopping.signal.aborted) deps.report.say(`${spec.name} could not be started: ${error}`);
    } finally {
      step.end();
    }
  };

  const onExit = async (dead: Child, code: number, livedMs: number): Promise<void> => {
    if (stopping.signal.aborted) return;
    const isOff = await isTaken(spec.port, dead.log());
    if (stopping.signal.aborted) return;
    deaths = deathsAfter(deaths, livedMs);
    end = { why: whyOf(spec, { code, isOff, log: dead.log() }), isOff };
    const waitMs = restartDelayMs(deaths);
    const times = deaths > 1 ? ` (death ${deaths} in a row)` : "";
    deps.report.say(`${spec.name} ${end.why}; starting it again in ${waitMs / 1000} s${times}`);
    restarting = restart(waitMs);
  };

  const stop = async (killAfterMs: number): Promise<void> => {
    stopping.abort();
    // A process that is being started in this moment has to be stopped, too.
    await restarting;
    await child.stop(killAfterMs);
  };

  child = await start();
  const step = deps.report.step(spec.name);
  let why = "";
  try {
    const wait = { what: `${spec.name} to be ready`, timeoutMs: readyTimeoutMs, pollMs };
    await waitFor({ ...wait, signal: deps.signal }, async () => {
      if (end?.isOff) throw portTaken(spec.name, spec.port);
      if (deaths >= startDeathsMax) throw fault("unavailable", "it dies at once");
      why = (await whyNotReady(spec.port, run)) ?? "";
      step.note(`not ready yet: ${why}`);
      return why === "" ? "ready" : undefined;
    });
  } catch (cause) {
    await stop(probeTimeoutMs);
    deps.signal.throwIfAborted();
    if (await isTaken(spec.port, child.log())) throw portTaken(spec.name, spec.port, cause);
    const message = `${spec.name} did not become ready (${end?.why ?? why}); the end of`;
    throw fault("unavailable", `${message} ${spec.logFile}:\n${lastWords(child.log())}`, { cause });
  } finally {
    step.end();
  }
  return { pid: () => child.pid, stop };
};

type End = Readonly<{ why: string; isOff: boolean }>;

const whyOf = (
  { port }: AppProcess,
  { code, isOff, log }: Readonly<{ code: number; isOff: boolean; log: string }>,
): string => {
  if (isOff) return `has no port, since another process has taken ${port}`;
  const how = code === 128 ? "was killed by a signal" : `ended with exit code ${code}`;
  const word = code === 128 ? "" : lastWord(log);
  return word === "" ? how : `${how}: ${word}`;
};

/** Undefined when the process of this run says that it is ready. */
const whyNotReady = async (port: number, run: string): Promise<string | undefined> => {
  try {
    const url = `http://127.0.0.1:${port}/readyz?verbose`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(probeTimeoutMs) });
    const text = await answer.text();
    if (answer.headers.get(runHeader) !== run) return `another process answers on port ${port}`;
    return answer.ok ? undefined : (/^\[-\].*/m.exec(text)?.[0] ?? `status ${answer.status}`);
  } catch {
    return "it does not answer";
  }
};
