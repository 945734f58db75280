/** What is known of handlers: how they run, what holds them up, and what waits for somebody. */

import { fault } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";
import type { Effects, OnBury } from "../handler.ts";
import { readParked } from "./parked.ts";
import type { ParkedStatus } from "./parked.ts";

/**
 * Parked events and letters are counted up to here for each handler, since people look at this
 * again and again; keys up to 100,000, and their events are at least as many.
 */
const countMax = 10_000;

/** As its workers have said last; null, or no topics, where none has said anything. */
type Said = Readonly<{
  name: string;
  group: string | null;
  topics: readonly string[];
  ordering: "key" | "none" | null;
  effects: Effects | null;
  onBury: OnBury | null;
  attemptsMax: number | null;
  /** To the minute. */
  seenAt: Date | null;
}>;

/** Of the workers that are alive, since they started. */
type Counted = Readonly<{
  workers: number;
  /** Handled a second, between their last two beats. */
  ratePerS: number;
  handled: number;
  failed: number;
}>;

export type BreakerStatus = Readonly<{
  opened: number;
  openedAt: Date;
  openUntil: Date;
  code: string;
  message: string;
}>;

export type FailingStatus = Readonly<{
  code: string;
  /** At most 10,000 over all handlers. */
  events: number;
  /** Of the one that has been run most often, whether its runs count or not. */
  runsMax: number;
}>;

export type HandlerStatus = Said &
  Counted &
  Readonly<{
    /** Null: it is not held back. */
    breaker: BreakerStatus | null;
    /** At most 100,000. */
    parkedKeys: number;
    /** Of those keys: held by an event that was given up. */
    heldKeys: number;
    /** Of all keys. It goes on to count beyond 10,000 only where there are as many keys. */
    parkedEvents: number;
    /** Since the first of the others was parked; 0 without any. */
    oldestParkedAgeMs: number;
    /** Parked events that have failed and are tried again, by what they failed with last. */
    failing: readonly FailingStatus[];
    /** At most 10,000. */
    openLetters: number;
  }>;

/** Handlers that workers have told of, and those that something is left of all the same. */
export const readHandlers = async (sql: Sql): Promise<HandlerStatus[]> => {
  const known = await readKnown(sql);
  const names = known.map((one) => one.name);
  const [parked, letters, failing] = await Promise.all([
    readParked(sql, names, countMax),
    readLetters(sql, names),
    readFailing(sql),
  ]);
  const parkedBy = new Map(parked.map((one) => [one.handler, one]));
  return known.map(({ opened, openedAt, openUntil, code, message, ...handler }) => ({
    ...handler,
    breaker: opened === null ? null : { opened, openedAt, openUntil, code, message },
    ...waitingOf(parkedBy.get(handler.name)),
    failing: failing.get(handler.name)?.map(failingOf) ?? [],
    openLetters: letters.get(handler.name) ?? 0,
  }));
};

const waitingOf = (parked: ParkedStatus | undefined) => ({
  parkedKeys: parked?.keys ?? 0,
  heldKeys: parked?.held ?? 0,
  parkedEvents: parked?.events ?? 0,
  oldestParkedAgeMs: parked?.oldestAgeMs ?? 0,
});

type NoBreaker = Readonly<Record<Exclude<keyof BreakerStatus, "opened">, never>> &
  Readonly<{ opened: null }>;

const readKnown = (sql: Sql) => sql<(Said & Counted & (BreakerStatus | NoBreaker))[]>`
  -- from one handler to the next by the index, over however many keys
  with recursive parked (name) as (
    (select handler from outrider.parked_heads order by handler limit 1)
    union all
    select (
      select handler from outrider.parked_heads where handler > parked.name
      order by handler limit 1
    ) from parked where parked.name is not null
  ), known as (
    select name from outrider.handlers
    union select handler from outrider.breakers
    union select name from parked where name is not null
  ), counted as (
    select one.name, count(*)::int as workers,
      sum((one.counts ->> 'ratePerS')::float8) as rate,
      sum((one.counts ->> 'handled')::float8) as handled,
      sum((one.counts ->> 'failed')::float8) as failed
    from outrider.workers w cross join lateral jsonb_each(w.stats) as one (name, counts)
    where w.deadline >= clock_timestamp()
    group by one.name
  )
  select name, h."group", coalesce(h.topics, '{}') as topics, h.ordering, h.effects,
    h.on_bury as "onBury", h.attempts_max as "attemptsMax", h.seen_at as "seenAt",
    coalesce(c.workers, 0) as workers,
    coalesce(round(c.rate::numeric, 1), 0)::float8 as "ratePerS",
    coalesce(c.handled, 0) as handled, coalesce(c.failed, 0) as failed,
    b.opened, b.opened_at as "openedAt", b.open_until as "openUntil", b.code, b.message
  from known
  left join outrider.handlers h using (name)
  left join counted c using (name)
  left join outrider.breakers b on b.handler = name
  order by name`;

const failingOf = ({ code, events, runsMax }: FailingStatus): FailingStatus => {
  return { code, events, runsMax };
};

/** By handler, those with the most runs first. Read from an index alone. */
const readFailing = async (sql: Sql) => {
  const rows = await sql<(FailingStatus & Readonly<{ handler: string }>)[]>`
    select handler, code, count(*)::int as events, max(runs) as "runsMax"
    from (
      select handler, code, runs from outrider.parked
      where code is not null and state = 'due' order by handler, code limit ${countMax}
    ) as counted
    group by handler, code order by "runsMax" desc, code`;
  return Map.groupBy(rows, (row) => row.handler);
};

/** By a range of one, as `readParked` does it. */
const readLetters = async (
  sql: Sql,
  handlers: readonly string[],
): Promise<ReadonlyMap<string, number>> => {
  const rows = await sql<{ handler: string; open: number }[]>`
    select asked.handler, letters.open
    from unnest(${handlers}::text[]) as asked (handler)
    cross join lateral (
      select count(*)::int as open
      from (
        select 1 from outrider.dead_letters letter
        where letter.state = 'open' and letter.handler between asked.handler and asked.handler
        limit ${countMax}
      ) as counted
    ) as letters`;
  return new Map(rows.map((row) => [row.handler, row.open]));
};

/**
 * Removes what workers have said of a handler, and its breaker. What it has handled stays in the
 * inbox as long as it would have, so that a handler of this name that comes back handles nothing
 * twice; a worker that has it names it again. Throws `not_found`, and `conflict` while a worker
 * runs it or events of it wait for somebody.
 */
export const forgetHandler = async (tx: TransactionSql, name: string): Promise<void> => {
  const [left] = await tx<{ workers: number; parked: boolean; letters: boolean }[]>`
    select
      (
        select count(*)::int from outrider.workers
        where deadline >= clock_timestamp() and stats ? ${name}
      ) as workers,
      exists (select from outrider.parked_heads where handler = ${name}) as parked,
      exists (
        select from outrider.dead_letters where handler = ${name} and state = 'open'
      ) as letters`;
  if (left && left.workers > 0) {
    throw fault("conflict", `${left.workers} workers run ${name}: see outrider workers`);
  }
  if (left?.parked) {
    const look = `outrider parked list --handler ${name}`;
    throw fault("conflict", `Events of ${name} are parked; run or bury them first: ${look}`);
  }
  if (left?.letters) {
    const look = `outrider dead list --handler ${name}`;
    throw fault("conflict", `Letters of ${name} are open; decide about them first: ${look}`);
  }
  const [said, breaker] = await Promise.all([
    tx`delete from outrider.handlers where name = ${name}`,
    tx`delete from outrider.breakers where handler = ${name}`,
  ]);
  if (said.count + breaker.count === 0) throw fault("not_found", `Nobody knows a handler ${name}`);
};
