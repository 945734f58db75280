/**
 * Runs what is parked: it claims the heads that are due and runs their events, side by side over
 * keys and in order within each. Any worker of the handlers may do it. Whoever wakes it up only
 * saves time: it looks by itself, too.
 */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, fault, isFault } from "@outrider/event";
import type { Log } from "@outrider/event";
import { rawSql } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { classify } from "../classify.ts";
import { createDelivery } from "../delivery.ts";
import type { Handler } from "../handler.ts";
import { runInTime } from "../run-batch.ts";
import type { Transact } from "../run-batch.ts";
import { createFreshHeads } from "./fresh.ts";
import { buryParked, finish, postpone, split } from "./outcome.ts";
import { claimDue, renewClaim } from "./queue.ts";
import type { Claim } from "./queue.ts";

export type RunnerLimits = Readonly<{
  /** How often it looks for heads that are due. */
  parkedPollMs: number;
  /** Most keys that are run at the same time. */
  parkedKeysMax: number;
  /** How long a claim lasts without renewal; another worker takes over after it. */
  claimMs: number;
  /** How old an event may get by transient failures before it is given up. */
  transientMaxAgeMs: number;
}>;

export type RunnerDeps = Readonly<{
  sql: Sql;
  transact: Transact;
  log: Log;
  random(): number;
  onHandled?(handler: string, events: number, durationMs: number): void;
  onBuried?(handler: string, code: string): void;
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
  const running = new Set<Promise<void>>();
  let pause = new AbortController();

  const run = async (claim: Claim): Promise<void> => {
    const handler = byName.get(claim.handler) as Handler;
    const renewal = setInterval(() => {
      renewClaim(sql, claim, limits.claimMs).catch(() => {});
    }, limits.claimMs / 3);
    try {
      await runClaim(claim, handler, { ...deps, limits, stopping: stopping.signal });
    } catch (error) {
      // What could not be written down is found by whoever claims it next.
      log.warn({ handler: claim.handler, err: error }, "a parked event's outcome was not stored");
    } finally {
      clearInterval(renewal);
    }
  };

  const look = async (): Promise<boolean> => {
    await fresh.look();
    const headsMax = limits.parkedKeysMax - running.size;
    if (headsMax <= 0) return false;
    const claims = await sql.begin((tx) =>
      claimDue(tx, [...byName.keys()], { claimMs: limits.claimMs, headsMax }),
    );
    for (const claim of claims) {
      const one = run(claim).finally(() => {
        running.delete(one);
        // There may be more behind what it has run.
        pause.abort();
      });
      running.add(one);
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
      await Promise.all(running);
      clearTimeout(late);
    },
  };
};

type Running = RunnerDeps & Readonly<{ limits: RunnerLimits; stopping: AbortSignal }>;

/** Workers that may die of one event, once it runs alone. */
const lostMax = 3;

const runClaim = async (claim: Claim, handler: Handler, running: Running): Promise<void> => {
  const { transact, log, stopping } = running;
  const [first] = claim.rows;
  if (!first) return;
  if (first.lost >= lostMax) {
    const message = `Its worker ended ${first.lost} times while it ran`;
    const failure = { kind: "fatal", code: "PROCESS_KILLED", message } as const;
    const dead = { row: first, onBury: handler.onBury, failure, error: undefined };
    await running.sql.begin((tx) => buryParked(tx, claim, dead));
    log.error({ handler: handler.name, eventId: first.eventId }, "an event has killed its worker");
    return running.onBuried?.(handler.name, failure.code);
  }
  const startedMs = performance.now();
  try {
    await transact(async (tx, emit) => {
      const events = claim.rows.map(({ record }) => createDelivery(record).eventFor(handler));
      const attempt = first.attempt + 1;
      await runInTime({ handler, attempt, log, stopping }, events, { tx, emit });
      if (await finish(rawSql(tx), claim)) return;
      throw fault("lease_lost", `Somebody else has claimed a key of ${handler.name}`);
    });
    running.onHandled?.(handler.name, claim.rows.length, performance.now() - startedMs);
  } catch (error) {
    // Whoever has it now writes down what becomes of it.
    if (isFault(error, "lease_lost")) return;
    await fail(claim, handler, { ...running, error });
  }
};

const fail = async (
  claim: Claim,
  handler: Handler,
  { sql, log, random, limits, stopping, error, onBuried }: Running & Readonly<{ error: unknown }>,
): Promise<void> => {
  const [row, ...rest] = claim.rows;
  if (!row) return;
  if (rest.length > 0 || stopping.aborted) {
    return void (await sql.begin((tx) => split(tx, claim)));
  }
  const failure = classify(error);
  const { retry, onBury, name } = handler;
  const attempts = row.attempt + 1;
  const isSpent =
    failure.kind === "retryable"
      ? attempts >= retry.attemptsMax
      : failure.kind === "fatal" || row.ageMs > limits.transientMaxAgeMs;
  if (isSpent) {
    await sql.begin((tx) => buryParked(tx, claim, { row, onBury, failure, error }));
    log.error({ handler: name, eventId: row.eventId, err: error }, "an event is given up");
    return onBuried?.(name, failure.code);
  }
  const asked = isFault(error) ? error.retryAfterMs : undefined;
  const delayMs = asked ?? backoffMs(attempts, retry, random);
  const counted = failure.kind === "retryable";
  await sql.begin((tx) => postpone(tx, claim, { row, counted, delayMs, failure }));
  log.warn({ handler: name, eventId: row.eventId, attempts, err: error }, "a parked event failed");
};
