/** Keys whose first unhandled event failed, with what waits in them. */

import { fault } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";

export const parkedStates = ["running", "due", "waiting", "held"] as const;

/**
 * `running`: a worker has claimed it. `due`: somebody will take it at once. `waiting`: for its due
 * time. `held`: by a dead letter, until somebody decides.
 */
export type ParkedState = (typeof parkedStates)[number];

export type ParkedFilter = Readonly<{
  ids?: readonly number[] | undefined;
  handler?: string | undefined;
  topic?: string | undefined;
  /** Whole, as text. */
  key?: string | undefined;
  /** Of the last error of its first event. */
  code?: string | undefined;
  state?: ParkedState | undefined;
}>;

export type ParkedKey = Readonly<{
  id: number;
  handler: string;
  topic: string;
  /** As text; what is no UTF-8 is replaced. */
  key: string;
  state: ParkedState;
  /** Null: a dead letter holds it. */
  dueAt: Date | null;
  parkedAt: Date;
  /** Its first event and what waits behind it, counted up to `queueCountMax`. */
  events: number;
  first: ParkedEvent;
}>;

export type ParkedEvent = Readonly<{
  eventId: string;
  partition: number;
  offset: number;
  state: "due" | "dead";
  /** Runs of it alone that have failed, counted or not. */
  runs: number;
  /** Those of them that have failed by its own fault: so many are limited. */
  attempts: number;
  /** Runs whose worker was not heard of again. */
  lost: number;
  /** Processes that it has ended. */
  killed: number;
  /** Of its last failure; null: it has not been run, and waits behind another one. */
  code: string | null;
  message: string | null;
  parkedAt: Date;
}>;

export const queueCountMax = 100_000;

/** A condition on `outrider.parked_heads h`. */
export const matchesParked = (sql: Sql | TransactionSql, filter: ParkedFilter) => {
  const { ids, handler, topic, key, code, state } = filter;
  const all = [
    ids && sql`h.id = any(${ids}::bigint[])`,
    handler !== undefined && sql`h.handler = ${handler}`,
    topic !== undefined && sql`h.topic = ${topic}`,
    // Hashed, as the index has it.
    key !== undefined && sql`sha256(h.key) = sha256(convert_to(${key}, 'UTF8'))`,
    code !== undefined && sql`h.id in (select head from outrider.parked where code = ${code})`,
    state && isIn(sql, state),
  ].filter((one) => typeof one === "object");
  return all.reduce((before, one) => sql`${before} and ${one}`, sql`true`);
};

/** The clock stands still for a statement, so that an index can be asked with it. */
const stateOf = (sql: Sql | TransactionSql) => sql`
  case when h.due_at = 'infinity' then 'held'
    when h.claimed_until >= statement_timestamp() then 'running'
    when h.due_at <= statement_timestamp() then 'due' else 'waiting' end`;

/** As `stateOf` says it, in conditions that an index can answer. */
const isIn = (sql: Sql | TransactionSql, state: ParkedState) => {
  if (state === "held") return sql`h.due_at = 'infinity'`;
  const isClaimed = sql`coalesce(h.claimed_until >= statement_timestamp(), false)`;
  if (state === "running") return sql`h.due_at < 'infinity' and ${isClaimed}`;
  if (state === "due") return sql`h.due_at <= statement_timestamp() and not ${isClaimed}`;
  return sql`h.due_at > statement_timestamp() and h.due_at < 'infinity' and not ${isClaimed}`;
};

type Row = Omit<ParkedKey, "key" | "first"> & EventRow & Readonly<{ key: Buffer }>;

/** Those that have been parked the longest first. */
export const listParked = async (
  sql: Sql,
  filter: ParkedFilter,
  { limit, after = 0 }: Readonly<{ limit: number; after?: number | undefined }>,
): Promise<ParkedKey[]> => {
  const rows = await sql<Row[]>`
    select h.id::float8, h.handler, h.topic, h.key, h.state, h.due_at as "dueAt",
      h.created_at as "parkedAt", queue.events, first.*
    from (
      select id, handler, topic, key, ${stateOf(sql)} as state,
        nullif(due_at, 'infinity') as due_at, created_at
      from outrider.parked_heads h
      where ${matchesParked(sql, filter)} and h.id > ${after}
      order by h.id limit ${limit}
    ) as h
    cross join lateral (
      select ${eventColumns(sql)} from outrider.parked p where p.head = h.id
      order by p.partition, p."offset" limit 1
    ) as first
    cross join lateral (
      select count(*)::int as events
      from (select from outrider.parked p where p.head = h.id limit ${queueCountMax}) as counted
    ) as queue
    order by h.id`;
  return rows.map(shown);
};

const eventColumns = (sql: Sql) => sql`
  p.event_id as "eventId", p.partition, p."offset"::float8, p.state as "eventState",
  p.runs, p.attempt as attempts, p.lost, p.killed, p.code, p.message,
  p.parked_at as "eventParkedAt"`;

type EventRow = Omit<ParkedEvent, "state" | "parkedAt"> &
  Readonly<{ eventState: ParkedEvent["state"]; eventParkedAt: Date }>;

const shownEvent = ({ eventState, eventParkedAt, ...row }: EventRow): ParkedEvent => ({
  eventId: row.eventId,
  partition: row.partition,
  offset: row.offset,
  state: eventState,
  runs: row.runs,
  attempts: row.attempts,
  lost: row.lost,
  killed: row.killed,
  code: row.code,
  message: row.message,
  parkedAt: eventParkedAt,
});

const shown = (row: Row): ParkedKey => ({
  id: row.id,
  handler: row.handler,
  topic: row.topic,
  key: row.key.toString("utf8"),
  state: row.state,
  dueAt: row.dueAt,
  parkedAt: row.parkedAt,
  events: row.events,
  first: shownEvent(row),
});

/** Throws `not_found`. */
export const readParkedKey = async (sql: Sql, id: number): Promise<ParkedKey> => {
  const [found] = await listParked(sql, { ids: [id] }, { limit: 1 });
  if (!found) throw fault("not_found", `There is no parked key ${id}`);
  return found;
};

export type QueuePosition = Readonly<{ partition: number; offset: number }>;

/** In the order in which they will run. */
export const listQueue = async (
  sql: Sql,
  id: number,
  { limit, after }: Readonly<{ limit: number; after?: QueuePosition | undefined }>,
): Promise<ParkedEvent[]> => {
  const rows = await sql<EventRow[]>`
    select ${eventColumns(sql)} from outrider.parked p
    where p.head = ${id}
      ${after ? sql`and (p.partition, p."offset") > (${after.partition}, ${after.offset})` : sql``}
    order by p.partition, p."offset" limit ${limit}`;
  return rows.map(shownEvent);
};

export type FirstEvent = Readonly<{ eventId: string; handler: string }>;

/** The first event of a key, which stays the first until the transaction ends. */
export const lockFirst = async (tx: TransactionSql, id: number): Promise<FirstEvent> => {
  await tx`select from outrider.parked_heads where id = ${id} for update`;
  const [first] = await tx<FirstEvent[]>`
    select event_id as "eventId", handler from outrider.parked where head = ${id}
    order by partition, "offset" limit 1`;
  if (!first) throw fault("not_found", `There is no parked key ${id}`);
  return first;
};
