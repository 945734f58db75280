/** Drives a redrive, one letter at a time. Several processes may drive one: they take turns. */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, fault, isFault } from "@outrider/event";
import type { Log } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { redriveLetter } from "./decide.ts";
import { readOutcomes } from "./redrives.ts";
import type { RedriveState } from "./redrives.ts";

type Operation = Readonly<{
  state: RedriveState;
  by: string;
  reason: string;
  canary: number;
  failuresMax: number;
  total: number;
  position: number;
  isProven: boolean;
  forgiven: number;
  waitMs: number;
  /** The one that comes next; null behind the last one. */
  letter: string | null;
}>;

/** What a step has come to: when to take the next one, or the state in which it is over. */
export type Step = Readonly<{ state: RedriveState; waitMs: number }>;

/** How often it is looked what has become of those first ones. */
const canaryPollMs = 200;

/** How far it may catch up when it was slower than its rate. */
const burstMs = 100;

/** One transaction: at most one letter, and how far the operation is. Throws `not_found`. */
export const stepRedrive = async (sql: Sql, id: number): Promise<Step> => {
  let item: Item | undefined;
  try {
    return await sql.begin(async (tx) => {
      const operation = await readOperation(tx, id);
      const { state, waitMs, position, canary, total, isProven, letter } = operation;
      if (state !== "running") return { state, waitMs: 0 };
      if (waitMs > 0) return { state, waitMs };
      if (!isProven && position > Math.min(canary, total)) return prove(tx, id, operation);
      if (letter === null) return end(tx, id, { state: "done", message: null });
      item = { position, letter: Number(letter) };
      const { by, reason } = operation;
      await redriveLetter(tx, { id: item.letter, by, reason, redrive: id });
      return advance(tx, { id, ...item, state: "redriven", message: null });
    });
  } catch (error) {
    const isDecided = isFault(error, "conflict") || isFault(error, "not_found");
    // Anything else is no reason to go on, and nothing of it stays.
    if (!item || !isDecided) throw error;
    return refuse(sql, { id, ...item, message: error.message });
  }
};

type Item = Readonly<{ position: number; letter: number }>;

const readOperation = async (tx: TransactionSql, id: number): Promise<Operation> => {
  const [operation] = await tx<Operation[]>`
    select r.state, r.by, r.reason, r.canary, r.failures_max as "failuresMax", r.total,
      r.position, r.is_proven as "isProven", r.forgiven,
      (extract(epoch from r.next_at - clock_timestamp()) * 1000)::float8 as "waitMs",
      -- No join: behind a wait for the lock it would be looked for by the old position.
      (
        select item.letter from outrider.redrive_items item
        where item.redrive = r.id and item.position = r.position
      ) as letter
    from outrider.redrives r where r.id = ${id} for update`;
  if (!operation) throw fault("not_found", `There is no redrive ${id}`);
  return operation;
};

/** What somebody else has decided is left as it is. */
const refuse = (
  sql: Sql,
  refused: Item & Readonly<{ id: number; message: string }>,
): Promise<Step> =>
  sql.begin(async (tx) => {
    const { state, position } = await readOperation(tx, refused.id);
    // Another driver may have come to it meanwhile.
    if (state !== "running" || position !== refused.position) return { state, waitMs: 0 };
    return advance(tx, { ...refused, state: "refused" });
  });

type Done = Item & Readonly<{ id: number; state: "redriven" | "refused"; message: string | null }>;

const advance = async (
  tx: TransactionSql,
  { id, position, state, message }: Done,
): Promise<Step> => {
  const [next] = await tx<{ waitMs: number }[]>`
    with item as (
      update outrider.redrive_items
      set state = ${state}, acted_at = clock_timestamp(), message = ${message}
      where redrive = ${id} and position = ${position}
    )
    update outrider.redrives
    set position = position + 1,
      next_at = greatest(next_at, clock_timestamp() - ${burstMs} * interval '1 ms')
        + 1 / rate_per_s * interval '1 s'
    where id = ${id}
    returning (extract(epoch from next_at - clock_timestamp()) * 1000)::float8 as "waitMs"`;
  return { state: "running", waitMs: next?.waitMs ?? 0 };
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
