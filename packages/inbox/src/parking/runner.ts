/**
 * Runs what is parked: it claims the heads that are due and runs their events, side by side over
 * keys and in order within each. Any worker of the handlers may do it. Whoever wakes it up only
 * saves time: it looks by itself, too.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Breakers } from "../breaker.ts";
import type { Handler } from "../handler.ts";
import { createFreshHeads } from "./fresh.ts";
import { claimDue, readDueHandlers, renewClaim } from "./queue.ts";
import type { Claim, ClaimOptions } from "./queue.ts";
import { runClaim } from "./run-claim.ts";
import type { ClaimDeps, Outcome } from "./run-claim.ts";
import { runSuspect } from "./suspect.ts";
import type { Isolation } from "./suspect.ts";

export type RunnerLimits = Readonly<{
  /** How often it looks for heads that are due. */
  parkedPollMs: number;
  /** How often it looks whether keys of redriven events may be run. */
  freshPollMs: number;
  /** Most keys that are run at the same time. */
  parkedKeysMax: number;
  /** How long a claim lasts without renewal; another worker takes over after it. */
  claimMs: number;
  /** How old an event may get by transient failures before it is given up. */
  transientMaxAgeMs: number;
}>;

type OfRun = "transientMaxAgeMs" | "stopping" | "onHandler";

export type RunnerDeps = Omit<ClaimDeps, OfRun> &
  Readonly<{
    /** Where events run that a process may have died of. */
    isolation: Isolation;
    breakers: Pick<Breakers, "isOpen" | "tryProbe" | "yield" | "succeeded" | "failed">;
    onHandled?(handler: string, events: number, durationMs: number): void;
    onBuried?(handler: string, code: string): void;
    /** A key has been run, and may be due again later. */
    onSettled?(): void;
  }>;

export type Runner = Readonly<{
  /** Looks at once. */
  wake(): void;
  stop(abortMs: number): Promise<void>;
}>;

export const startRunner = (
  handlers: readonly Handler[],
  deps: RunnerDeps,
  limits: RunnerLimits,
): Runner => {
  const { sql, log } = deps;
  const byName = new Map(handlers.map((handler) => [handler.name, handler]));
  const fresh = createFreshHeads(sql, [...byName.keys()]);
  const ending = new AbortController();
  const stopping = new AbortController();
  /** By head. */
  const running = new Map<string, Promise<void>>();
  let pause = new AbortController();
  let freshLookMs = 0;

  const look = async (): Promise<boolean> => {
    if (performance.now() >= freshLookMs) {
      await fresh.look();
      freshLookMs = performance.now() + limits.freshPollMs;
    }
    const headsMax = limits.parkedKeysMax - running.size;
    if (headsMax <= 0) return false;
    const except = [...running.keys()];
    const claims = await claimRunnable([...byName.keys()], deps, {
      ...{ claimMs: limits.claimMs, headsMax, except },
    });
    for (const claim of claims) {
      const handler = byName.get(claim.handler) as Handler;
      const one = run(claim, handler, { ...deps, limits, stopping: stopping.signal }).finally(
        () => {
          running.delete(claim.head);
          // There may be more behind what it has run.
          pause.abort();
        },
      );
      running.set(claim.head, one);
    }
    return claims.length > 0;
  };

  const live = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      const isBusy = await look().catch((error: unknown) => {
        log.warn({ err: error }, "parked events could not be looked for");
        return false;
      });
      if (isBusy) continue;
      await delay(limits.parkedPollMs, undefined, { signal: pause.signal }).catch(() => {});
      if (pause.signal.aborted) pause = new AbortController();
    }
  };
  const living = live();

  return {
    wake: () => pause.abort(),
    stop: async (abortMs) => {
      ending.abort();
      pause.abort();
      await living;
      const late = setTimeout(() => stopping.abort(), abortMs);
      await Promise.all(running.values());
      clearTimeout(late);
      await deps.isolation.stop();
    },
  };
};

/** Of a handler that is held back, one event at most, to see whether it still has to be. */
const claimRunnable = async (
  handlers: readonly string[],
  { sql, breakers }: RunnerDeps,
  options: ClaimOptions,
): Promise<Claim[]> => {
  const [held, free] = [
    handlers.filter(breakers.isOpen),
    handlers.filter((one) => !breakers.isOpen(one)),
  ];
  const claims = await sql.begin((tx) => claimDue(tx, free, options));
  if (held.length === 0) return claims;
  for (const handler of await readDueHandlers(sql, held)) {
    if (!(await breakers.tryProbe(handler))) continue;
    const one = { ...options, headsMax: 1, rowsMax: 1 };
    const [claim] = await sql
      .begin((tx) => claimDue(tx, [handler], one))
      // Whether it was claimed is not known; what was is found again when the claim has run out.
      .catch(() => []);
    if (claim) claims.push(claim);
    else await breakers.yield(handler);
  }
  return claims;
};

/** What a run says of its handler: an event that fails again, or by its own fault, says nothing. */
const tellBreakers = async (
  { handler, rows: [row] }: Claim,
  outcome: Outcome,
  breakers: RunnerDeps["breakers"],
): Promise<void> => {
  if (outcome.kind === "handled") return breakers.succeeded(handler);
  const isNews = row?.attempt === 0 || breakers.isOpen(handler);
  if (outcome.kind === "failed" && row && isNews) {
    const key = Buffer.from(row.record.key ?? row.eventId).toString("hex");
    return breakers.failed(handler, key, outcome.failure);
  }
  return breakers.yield(handler);
};

type Running = RunnerDeps & Readonly<{ limits: RunnerLimits; stopping: AbortSignal }>;

/** Keeps the claim while it runs, and says what has come of it. */
const run = async (
  claim: Claim,
  handler: Handler,
  { limits: { claimMs, transientMaxAgeMs }, ...deps }: Running,
): Promise<void> => {
  const [row] = claim.rows;
  const { name } = handler;
  const renewal = setInterval(() => {
    renewClaim(deps.sql, claim, claimMs).catch(() => {});
  }, claimMs / 3);
  try {
    const claimDeps = { ...deps, transientMaxAgeMs };
    const outcome = await (row && row.lost > 0
      ? runSuspect({ claim, row, handler }, claimDeps)
      : runClaim(claim, handler, claimDeps));
    await tellBreakers(claim, outcome, deps.breakers);
    if (outcome.kind === "handled") deps.onHandled?.(name, outcome.events, outcome.durationMs);
    if (outcome.kind === "buried") deps.onBuried?.(name, outcome.failure.code);
  } catch (error) {
    // What could not be written down is found by whoever claims it next.
    deps.log.warn({ handler: name, err: error }, "a parked event's outcome was not stored");
  } finally {
    clearInterval(renewal);
  }
};
