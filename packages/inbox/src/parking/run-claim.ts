/** One run of a claim: its events in one transaction, and what becomes of them stored. */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, fault, isFault } from "@outrider/event";
import type { Log } from "@outrider/event";
import { rawSql } from "@outrider/postgres";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { askedDelayOf, classify, isRefused } from "../classify.ts";
import type { Classified } from "../classify.ts";
import { createDelivery } from "../delivery.ts";
import { createExternalAttempts } from "../external.ts";
import type { Handler } from "../handler.ts";
import { retryDelayMs } from "../retry-delay.ts";
import { queueKeyOf, runInTime } from "../run-batch.ts";
import type { RunDeps, Transact } from "../run-batch.ts";
import type { WriteRecord } from "./dead-letter-record.ts";
import type { RunEnd } from "./failed-attempts.ts";
import { buryRefusedClaim } from "./last-resort.ts";
import { buryParked, finish, postpone, split } from "./outcome.ts";
import type { ParkedRow } from "./parked-row.ts";
import type { Claim } from "./queue.ts";

/**
 * `gone`: somebody else has the claim by now, and writes down what becomes of it. `isRun`: a run of
 * one event by itself has failed; several that fail together, or what could not run, is none.
 */
export type Outcome =
  | Readonly<{ kind: "handled"; events: number; durationMs: number }>
  | Readonly<{ kind: "failed" | "buried"; failure: Classified; isRun: boolean }>
  | Readonly<{ kind: "gone" }>;

export type ClaimDeps = Readonly<{
  sql: Sql;
  transact: Transact;
  log: Log;
  random(): number;
  /** Group of handlers that name none. */
  group: string;
  writeRecord: WriteRecord;
  /** How old an event may get by transient failures before it is given up. */
  transientMaxAgeMs: number;
  /** Aborted when the worker cannot wait any longer. */
  stopping: AbortSignal;
  onRun?: RunDeps["onRun"];
  /** The handler's own code starts, or has come back. */
  onHandler?(what: "started" | "returned"): void;
}>;

/** Throws only when the worker has to stop before the outcome could be stored. */
export const runClaim = async (
  claim: Claim,
  handler: Handler,
  deps: ClaimDeps,
): Promise<Outcome> => {
  const startedMs = performance.now();
  try {
    if (!(await attempt([claim], handler, deps))) return { kind: "gone" };
  } catch (error) {
    return fail(claim, handler, { ...deps, error });
  }
  const durationMs = performance.now() - startedMs;
  return { kind: "handled", events: claim.rows.length, durationMs };
};

/**
 * Runs the events of several keys in one transaction, none of which has failed before. Undefined
 * when that did not work, for whatever reason: nothing of it stays, and each has to run alone.
 */
export const runTogether = async (
  claims: readonly [Claim, ...Claim[]],
  handler: Handler,
  deps: ClaimDeps,
): Promise<Outcome | undefined> => {
  const startedMs = performance.now();
  const isDone = await attempt(claims, handler, deps).catch(() => false);
  if (!isDone) return undefined;
  const events = claims.reduce((sum, claim) => sum + claim.rows.length, 0);
  return { kind: "handled", events, durationMs: performance.now() - startedMs };
};

/** False when a claim is lost; throws what the handler throws. */
const attempt = async (
  claims: readonly [Claim, ...Claim[]],
  handler: Handler,
  { transact, sql, log, stopping, onHandler, onRun }: ClaimDeps,
): Promise<boolean> => {
  const rows = claims.flatMap((claim) => claim.rows);
  const attempts = createExternalAttempts(sql);
  const how = {
    handler,
    attempt: (rows[0]?.attempt ?? 0) + 1,
    log,
    stopping,
    attempts,
    ...(onRun && { onRun }),
  };
  try {
    await transact(async (tx, emit) => {
      const events = rows.map(({ record }) => createDelivery(record).eventFor(handler));
      onHandler?.("started");
      try {
        await runInTime(how, events, { tx, emit });
      } finally {
        onHandler?.("returned");
      }
      if (await finish(rawSql(tx), claims)) return;
      throw fault("lease_lost", `Somebody else has claimed a key of ${handler.name}`);
    });
    return true;
  } catch (error) {
    if (isFault(error, "lease_lost")) return false;
    throw error;
  }
};

const fail = async (
  claim: Claim,
  handler: Handler,
  { error, ...deps }: ClaimDeps & Readonly<{ error: unknown }>,
): Promise<Outcome> => {
  const { log, random, transientMaxAgeMs, stopping } = deps;
  const failure = classify(error);
  const [row, ...rest] = claim.rows;
  if (!row || rest.length > 0 || stopping.aborted) {
    await store(deps, (tx) => split(tx, claim));
    return { kind: "failed", failure, isRun: false };
  }
  const { retry, name } = handler;
  const attempts = row.attempt + 1;
  const isSpent = {
    retryable: attempts >= retry.attemptsMax,
    fatal: true,
    transient: row.ageMs > transientMaxAgeMs,
    // It waits for a newer handler, however long that takes.
    deployment: false,
  };
  const end = "failed";
  const giving = { claim, handler, row };
  if (isSpent[failure.kind]) return bury(giving, { failure, error, end }, deps);
  const runs = row.runs + 1;
  const askedMs = askedDelayOf(error);
  const delayMs = retryDelayMs(retry, { kind: failure.kind, runs, askedMs, random });
  const refused = await storeOrBury(giving, deps, (tx) =>
    postpone(tx, claim, { row, delayMs, failure, end }),
  );
  if (refused) return refused;
  log.warn({ handler: name, eventId: row.eventId, attempts, err: error }, "a parked event failed");
  return { kind: "failed", failure, isRun: true };
};

type Giving = Readonly<{ claim: Claim; handler: Handler; row: ParkedRow }>;

/** Gives the claim's one event up. */
export const bury = async (
  { claim, handler, row }: Giving,
  failing: Readonly<{ failure: Classified; error: unknown; end: RunEnd }>,
  deps: Omit<ClaimDeps, "transact">,
): Promise<Outcome> => {
  const { name, onBury, group = deps.group } = handler;
  const { writeRecord } = deps;
  const dead = { row, onBury, group, writeRecord, ...failing };
  let isBuried = false;
  const refused = await storeOrBury({ claim, handler, row }, deps, async (tx) => {
    isBuried = await buryParked(tx, claim, dead);
  });
  if (refused) return refused;
  if (!isBuried) return { kind: "gone" };
  const { failure, error, end } = failing;
  const what = { handler: name, eventId: row.eventId, code: failure.code, err: error };
  deps.log.error(what, "an event is given up");
  return { kind: "buried", failure, isRun: end !== "unrun" };
};

/** As `store`; what Postgres refuses for good is given up as it is. Then that is the outcome. */
const storeOrBury = async (
  { claim, handler, row }: Giving,
  deps: Omit<ClaimDeps, "transact">,
  act: (tx: TransactionSql) => Promise<void>,
): Promise<Outcome | undefined> => {
  const { name, onBury } = handler;
  let refusal: Classified | undefined;
  await store(deps, async (tx) => {
    // Not in the transaction that it has broken.
    if (refusal) {
      const refused = { waiting: row, key: queueKeyOf(handler, row), onBury, refusal };
      return void (await buryRefusedClaim(tx, claim, refused));
    }
    try {
      await act(tx);
    } catch (error) {
      if (isRefused(error)) refusal = classify(error);
      throw error;
    }
  });
  if (!refusal) return undefined;
  deps.log.error({ handler: name, eventId: row.eventId, ...refusal }, "an outcome is refused");
  return { kind: "buried", failure: { ...refusal, kind: "fatal" }, isRun: true };
};

/** Between two tries to store an outcome. */
const storeRetry = { baseMs: 100, capMs: 2000 } as const;

/**
 * While nobody else claims it, an outcome can still be stored under its token, however long the
 * database was away; the next claim would take it that this process has ended. Twice in effect is
 * once: the first time ends the claim.
 */
export const store = async <T>(
  { sql, log, random, stopping }: Pick<ClaimDeps, "sql" | "log" | "random" | "stopping">,
  act: (tx: TransactionSql) => Promise<T>,
): Promise<T> => {
  for (let failures = 1; ; failures += 1) {
    try {
      return (await sql.begin(act)) as T;
    } catch (error) {
      if (stopping.aborted) throw error;
      log.warn({ err: error }, "a parked event's outcome could not be stored; once more");
      const pauseMs = backoffMs(failures, storeRetry, random);
      await delay(pauseMs, undefined, { signal: stopping }).catch(() => {});
    }
  }
};
