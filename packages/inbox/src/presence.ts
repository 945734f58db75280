/**
 * Tells operators through the database which workers are alive, what they run and what they have
 * counted. Nothing else depends on it: a beat that fails is repeated with the next one.
 */

import { randomUUID } from "node:crypto";
import type { Log } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";
import type { HandlerCounts } from "./counts.ts";
import type { Handler } from "./handler.ts";
import { repeat } from "./repeat.ts";

export type PresenceLimits = Readonly<{
  /** How often a worker says that it is alive. */
  beatMs: number;
}>;

/** A worker that has missed so many beats counts as ended. */
const beatsMax = 3;
/** How long one that has ended without a word is remembered. */
const deadKeepMs = 3_600_000;
/** Longer no beat may take: others need its connection. */
const beatMaxMs = 2000;
/** How old it may get, by whoever it was written, that a handler is run somewhere. */
const seenMaxMs = 60_000;

export type Running = Readonly<{
  /** Of the worker, for people: host and process. */
  name: string;
  /** Group of handlers that name none. */
  group: string;
  handlers: readonly Handler[];
  counts(): ReadonlyMap<string, HandlerCounts>;
}>;

/** By handler. */
type Stats = Readonly<Record<string, HandlerCounts & Readonly<{ ratePerS: number }>>>;

export const startPresence = (
  { name, group, handlers, counts }: Running,
  { sql, log }: Readonly<{ sql: Sql; log: Log }>,
  { beatMs }: PresenceLimits,
): Readonly<{ stop(): Promise<void> }> => {
  const instance = randomUUID();
  const startedMs = performance.now();
  const stopping = new AbortController();
  const said = handlers.map((handler) => saidOf(handler, group));
  let last = { atMs: startedMs, handled: new Map<string, number>() };

  const statsAt = (atMs: number): Stats =>
    Object.fromEntries(
      [...counts()].map(([handler, { handled, failed }]) => {
        const perMs = (handled - (last.handled.get(handler) ?? 0)) / Math.max(1, atMs - last.atMs);
        return [handler, { handled, failed, ratePerS: Math.round(perMs * 10_000) / 10 }];
      }),
    );

  const act = async (): Promise<void> => {
    const atMs = performance.now();
    const stats = statsAt(atMs);
    const worker = { instance, name, ageMs: atMs - startedMs, ttlMs: beatMs * beatsMax, stats };
    try {
      // In a transaction: statements of others could be sent behind a lone one, and wait for it.
      await sql.begin(async (tx) => {
        await tx`select set_config('statement_timeout', ${String(beatMaxMs)}, true)`;
        await beat(tx, worker, said);
      });
      const handled = Object.entries(stats).map(([one, { handled: sum }]) => [one, sum] as const);
      last = { atMs, handled: new Map(handled) };
    } catch (error) {
      log.debug({ err: error }, "the worker could not say that it is alive");
    }
  };
  const beating = repeat(beatMs, stopping.signal, act);

  return {
    stop: async () => {
      stopping.abort();
      await beating;
      // Otherwise its time runs out.
      await leave(sql, instance).catch(() => {});
    },
  };
};

/** As the columns of its table are named. */
const saidOf = (handler: Handler, group: string) => ({
  name: handler.name,
  group: handler.group ?? group,
  queue: group,
  topics: handler.topics,
  ordering: handler.ordering,
  effects: handler.effects,
  on_bury: handler.onBury,
  attempts_max: handler.retry.attemptsMax,
});

type Worker = Readonly<{
  instance: string;
  name: string;
  ageMs: number;
  ttlMs: number;
  stats: Stats;
}>;

/**
 * One statement: the worker with its deadline; its handlers, where nobody has said the same of them
 * lately; and the end of those that have been dead for long. In the same order in all workers.
 */
const beat = (
  tx: TransactionSql,
  { instance, name, ageMs, ttlMs, stats }: Worker,
  handlers: readonly ReturnType<typeof saidOf>[],
) => tx`
  with known as (
    insert into outrider.handlers
      (name, "group", queue, topics, ordering, effects, on_bury, attempts_max)
    select said.* from jsonb_to_recordset(${JSON.stringify(handlers)}::text::jsonb) as said (
      name text, "group" text, queue text, topics text[], ordering text, effects text, on_bury text,
      attempts_max int)
    where not exists (
      select from outrider.handlers h
      where h.name = said.name and h.seen_at > clock_timestamp() - ${seenMaxMs} * interval '1 ms'
        and (h."group", h.queue, h.topics, h.ordering, h.effects, h.on_bury, h.attempts_max)
          = (said."group", said.queue, said.topics, said.ordering, said.effects, said.on_bury,
            said.attempts_max))
    order by name
    on conflict (name) do update
    set "group" = excluded."group", queue = excluded.queue, topics = excluded.topics,
      ordering = excluded.ordering, effects = excluded.effects, on_bury = excluded.on_bury,
      attempts_max = excluded.attempts_max, seen_at = excluded.seen_at
  ), dead as (
    delete from outrider.workers where instance in (
      select instance from outrider.workers
      where deadline < clock_timestamp() - ${deadKeepMs} * interval '1 ms'
        and instance <> ${instance}
      for update skip locked)
  )
  insert into outrider.workers (instance, name, started_at, deadline, stats)
  values (${instance}, ${name}, clock_timestamp() - ${ageMs}::float8 * interval '1 ms',
    clock_timestamp() + ${ttlMs} * interval '1 ms', ${JSON.stringify(stats)}::text::jsonb)
  on conflict (instance) do update set deadline = excluded.deadline, stats = excluded.stats`;

const leave = (sql: Sql, instance: string) =>
  sql`delete from outrider.workers where instance = ${instance}`;
