/** Drives a redrive, one letter at a time. Several processes may drive one: they take turns. */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, fault, isFault } from "@outrider/event";
import type { Log } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { redriveIn } from "./decide.ts";
import { readOutcomes } from "./redrives.ts";
import type { RedriveState } from "./redrives.ts";

type Operation = Readonly<{
  state: RedriveState;
  by: string;
  reason: string;
  ratePerS: number;
  canary: number;
  failuresMax: number;
  total: number;
  position: number;
  isProven: boolean;
  forgiven: number;
  waitMs: number;
}>;

/** What a step has come to: when to take the next one, or the state in which it is over. */
export type Step = Readonly<{ state: RedriveState; waitMs: number }>;

/** How often it is looked what has become of those first ones. */
const canaryPollMs = 200;

/** How far it may catch up when it was slower than its rate. */
const burstMs = 100;

/** One transaction: at most one letter, and how far the operation is. Throws `not_found`. */
export const stepRedrive = (sql: Sql, id: number): Promise<Step> =>
  sql.begin(async (tx) => {
    const [operation] = await tx<Operation[]>`
      select state, by, reason, rate_per_s as "ratePerS", canary, failures_max as "failuresMax",
        total, position, is_proven as "isProven", forgiven,
        (extract(epoch from next_at - clock_timestamp()) * 1000)::float8 as "waitMs"
      from outrider.redrives where id = ${id} for update`;
    if (!operation) throw fault("not_found", `There is no redrive ${id}`);
    const { state, waitMs } = operation;
    if (state !== "running") return { state, waitMs: 0 };
    if (waitMs > 0) return { state, waitMs };
    const { position, canary, total, isProven } = operation;
    if (!isProven && position > Math.min(canary, total)) return prove(tx, id, operation);
    if (position > total) return end(tx, id, { state: "done", message: null });
    return redriveNext(tx, id, operation);
  });

const redriveNext = async (
  tx: TransactionSql,
  id: number,
  { by, reason, position, ratePerS }: Operation,
): Promise<Step> => {
  const [item] = await tx<{ letter: string }[]>`
    select letter from outrider.redrive_items where redrive = ${id} and position = ${position}`;
  if (!item) throw new Error("no row");
  const redriving = { id: Number(item.letter), by, reason, redrive: id };
  const refusal = await tx
    .savepoint((inner) => redriveIn(inner, redriving))
    .then(() => null, refusalOf);
  await tx`
    update outrider.redrive_items
    set state = ${refusal === null ? "redriven" : "refused"}, acted_at = clock_timestamp(),
      message = ${refusal}
    where redrive = ${id} and position = ${position}`;
  const [next] = await tx<{ waitMs: number }[]>`
    update outrider.redrives
    set position = position + 1,
      next_at = greatest(next_at, clock_timestamp() - ${burstMs} * interval '1 ms')
        + ${1000 / ratePerS}::float8 * interval '1 ms'
    where id = ${id}
    returning (extract(epoch from next_at - clock_timestamp()) * 1000)::float8 as "waitMs"`;
  return { state: "running", waitMs: next?.waitMs ?? 0 };
};

/** What somebody else has decided is left as it is; anything else is no reason to go on. */
const refusalOf = (error: unknown): string => {
  if (isFault(error, "conflict") || isFault(error, "not_found")) return error.message;
  throw error;
};

const prove = async (tx: TransactionSql, id: number, { canary }: Operation): Promise<Step> => {
  const { failed, pending } = await readOutcomes(tx, id, canary);
  if (failed > 0) {
    return end(tx, id, {
      state: "paused",
      message: `${failed} of the first ${canary} were given up again`,
    });
  }
  if (pending > 0) return { state: "running", waitMs: canaryPollMs };
  await tx`update outrider.redrives set is_proven = true where id = ${id}`;
  return { state: "running", waitMs: 0 };
};

const end = async (
  tx: TransactionSql,
  id: number,
  { state, message }: Readonly<{ state: RedriveState; message: string | null }>,
): Promise<Step> => {
  await tx`
    update outrider.redrives
    set state = ${state}, message = ${message}, changed_by = null, changed_at = clock_timestamp()
    where id = ${id}`;
  return { state, waitMs: 0 };
};

/** Pauses the operation where too many events have been given up again. */
const checkFailures = (sql: Sql, id: number): Promise<void> =>
  sql.begin(async (tx) => {
    const { failed } = await readOutcomes(tx, id);
    const [running] = await tx<Pick<Operation, "failuresMax" | "forgiven">[]>`
      select failures_max as "failuresMax", forgiven from outrider.redrives
      where id = ${id} and state = 'running' for update`;
    if (!running || failed - running.forgiven < running.failuresMax) return;
    await end(tx, id, { state: "paused", message: `${failed} events were given up again` });
  });

export type DriveOptions = Readonly<{
  log: Pick<Log, "warn">;
  random(): number;
  /** It stops driving; somebody else may go on, from where it is. */
  signal: AbortSignal;
  /** How often it is looked what has become of what was redriven. */
  checkMs?: number;
}>;

const retry = { baseMs: 100, capMs: 5000 } as const;

/**
 * Until it is over or paused; "running" when it was told to stop. While the database is away it
 * tries again and again. Throws `not_found`.
 */
export const driveRedrive = async (
  sql: Sql,
  id: number,
  { log, random, signal, checkMs = 1000 }: DriveOptions,
): Promise<RedriveState> => {
  let checkedMs = Number.NEGATIVE_INFINITY;
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (performance.now() - checkedMs > checkMs) {
        await checkFailures(sql, id);
        checkedMs = performance.now();
      }
      const { state, waitMs } = await stepRedrive(sql, id);
      if (state !== "running") return state;
      failures = 0;
      if (waitMs > 0) await rest(Math.min(waitMs, checkMs), signal);
    } catch (error) {
      if (isFault(error, "not_found")) throw error;
      failures += 1;
      log.warn({ redrive: id, err: error }, "a step of a redrive failed; once more");
      await rest(backoffMs(failures, retry, random), signal);
    }
  }
  return "running";
};

const rest = (ms: number, signal: AbortSignal): Promise<unknown> =>
  delay(ms, undefined, { signal }).catch(() => {});
