/**
 * The timers of parked keys as Redis holds them, each beside its key. Postgres has the truth: where
 * they disagree, a retry comes late at worst.
 */

import type { RetryJob, RetryQueue, RetryQueues } from "@outrider/bullmq";
import type { Sql } from "@outrider/postgres";

export type TimedKey = Readonly<{
  /** Of the parked key. */
  id: number;
  handler: string;
  topic: string;
  key: string;
  dueAt: Date | null;
  /** A timer was set for its due time. */
  isTimed: boolean;
}>;

export const disagreements = ["no parked key", "another due time", "no timer"] as const;

/**
 * `no parked key`: the key has gone on, and the timer will do nothing. `another due time`: the key
 * is due at another time, for which it has a timer of its own. `no timer`: Redis has lost it; the
 * workers find the key by looking, up to a second late.
 */
export type Disagreement = (typeof disagreements)[number];

export type ComparedJob = RetryJob &
  Readonly<{ parked: TimedKey | null; disagreement: Disagreement | null }>;

export type ComparedQueue = Readonly<{
  queue: string;
  counts: RetryQueue["counts"];
  jobs: readonly ComparedJob[];
  /** All jobs are listed. */
  isWhole: boolean;
  /** Keys whose timer should be among the listed jobs and is not. */
  missing: readonly (TimedKey & Readonly<{ disagreement: "no timer" }>)[];
}>;

/** Between the clocks of a worker and of the database, and what firing takes. */
const toleranceMs = 1000;

export const compareQueue = (
  queue: string,
  { counts, jobs, isWhole }: RetryQueue,
  keys: readonly TimedKey[],
): ComparedQueue => {
  const byId = new Map(keys.map((key) => [String(key.id), key]));
  const timed = new Set(jobs.map((job) => job.timer));
  const lastMs = Math.max(0, ...jobs.map((job) => job.dueAt.getTime()));
  const isCovered = ({ dueAt }: TimedKey) => isWhole || (dueAt?.getTime() ?? Infinity) < lastMs;
  return {
    ...{ queue, counts, isWhole },
    jobs: jobs.map((job) => {
      const parked = byId.get(job.timer) ?? null;
      return { ...job, parked, disagreement: disagreementOf(job, parked) };
    }),
    missing: keys
      .filter((key) => key.isTimed && !timed.has(String(key.id)) && isCovered(key))
      .map((key) => ({ ...key, disagreement: "no timer" })),
  };
};

const disagreementOf = ({ dueAt }: RetryJob, parked: TimedKey | null): Disagreement | null => {
  if (!parked) return "no parked key";
  const apartMs = Math.abs((parked.dueAt?.getTime() ?? Infinity) - dueAt.getTime());
  return apartMs > toleranceMs ? "another due time" : null;
};

/** Each app's workers have a queue of timers for all of their handlers. */
export const readQueueNames = async (sql: Sql): Promise<string[]> => {
  const rows = await sql<{ name: string }[]>`
    select distinct queue as name from outrider.handlers order by name`;
  return rows.map((row) => row.name);
};

/** Throws `unavailable` or `timeout` when Redis cannot be asked. */
export const readRetries = async (
  { sql, retryQueues }: Readonly<{ sql: Sql; retryQueues: RetryQueues }>,
  queue: string,
  jobsMax: number,
): Promise<ComparedQueue> => {
  const found = await retryQueues.read(queue, { jobsMax });
  const timers = found.jobs.map((job) => job.timer).filter((timer) => /^\d{1,15}$/.test(timer));
  const rows = await sql<(Omit<TimedKey, "key"> & { key: Buffer })[]>`
    select id::float8, handler, topic, key, nullif(due_at, 'infinity') as "dueAt",
      coalesce(timer_at = due_at and due_at > clock_timestamp() + interval '1 s', false)
        as "isTimed"
    from outrider.parked_heads where id = any(${timers}::bigint[])
    union
    (
      select next.* from outrider.handlers h
      cross join lateral (
        select id::float8, handler, topic, key, due_at, true from outrider.parked_heads
        -- As a range of one: of an equality it is taken that hardly a key has it.
        where handler = h.name and timer_at between due_at and due_at
          and due_at > statement_timestamp() + interval '1 s' and due_at < 'infinity'
        order by due_at limit ${jobsMax}
      ) as next
      where h.queue = ${queue}
      order by next.due_at limit ${jobsMax}
    )`;
  const keys = rows.map((row) => ({ ...row, key: row.key.toString("utf8") }));
  return compareQueue(queue, found, keys);
};
