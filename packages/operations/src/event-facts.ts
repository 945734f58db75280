/**
 * What the tables know about one event. Nothing is written down for this while events go their way:
 * every fact is a row that is needed anyway, found by an index.
 */

import type { HeaderPair, Sql } from "@outrider/postgres";

export type InboxFact = Readonly<{
  handler: string;
  state: "handled" | "parked" | "dead";
  topic: string;
  partition: number;
  offset: number;
  recordedAt: Date;
}>;

export type FailedAttempt = Readonly<{
  handler: string;
  at: Date;
  /** Null: it counts for nobody. */
  attempt: number | null;
  kind: "transient" | "deployment" | "retryable" | "fatal" | "killed";
  code: string;
  message: string;
}>;

/** A run of a handler with effects outside. */
export type ExternalAttempt = Readonly<{
  handler: string;
  attempt: number;
  startedAt: Date;
  /** Null: it runs, or nobody knows what has happened outside. */
  endedAt: Date | null;
  outcome: string | null;
}>;

export type ParkedFact = Readonly<{
  handler: string;
  /** Of the parked key. */
  head: number;
  topic: string;
  partition: number;
  offset: number;
  state: "due" | "dead";
  /** Runs of it alone that have failed, and those of them that count. */
  runs: number;
  attempts: number;
  /** Null: it waits behind another event, or for a decision. */
  dueAt: Date | null;
  isRunning: boolean;
  /** Events of its key before it. */
  ahead: number;
  parkedAt: Date;
}>;

export type LetterFact = Readonly<{
  id: number;
  handler: string | null;
  state: "open" | "redriven" | "discarded";
  topic: string;
  partition: number | null;
  offset: number | null;
  skipped: boolean;
  history: readonly HistoryFact[];
}>;

export type HistoryFact = Readonly<{
  at: Date;
  action: "buried" | "redriven" | "discarded" | "restored" | "noted";
  by: string | null;
  message: string;
  replacedBy: string | null;
  redrive: number | null;
}>;

/** A row that waits to be published, or that is held behind a blocked key. */
export type OutboxFact = Readonly<{
  state: "pending" | "held";
  shard: number | null;
  /** The letter that holds its key. */
  letter: number | null;
  type: string | null;
  version: number | null;
  topic: string;
  key: string;
  createdAt: Date;
}>;

/** What an operator has decided while the event was parked. */
export type DecisionFact = Readonly<{
  at: Date;
  by: string;
  action: string;
  details: Readonly<{ handler?: string; until?: string; reason?: string }>;
}>;

export type EventFacts = Readonly<{
  inbox: readonly InboxFact[];
  failed: readonly FailedAttempt[];
  external: readonly ExternalAttempt[];
  parked: readonly ParkedFact[];
  letters: readonly LetterFact[];
  decisions: readonly DecisionFact[];
  held: OutboxFact | undefined;
  /** The event that this one took the place of. */
  replaces: string | undefined;
  /** Event, type and headers as a letter or a parked row has them. */
  stored: StoredEvent | undefined;
}>;

export type StoredEvent = Readonly<{
  topic: string;
  key: string;
  headers: readonly HeaderPair[];
  payload: Uint8Array | null;
  timestamp: Date;
}>;

export const readFacts = async (sql: Sql, id: string): Promise<EventFacts> => {
  const [decisions, inbox, failed, external, parked, letters, held, replaces, stored] =
    await Promise.all([
      readDecisions(sql, id),
      readInbox(sql, id),
      readFailed(sql, id),
      readExternal(sql, id),
      readParkedRows(sql, id),
      readLetters(sql, id),
      readHeld(sql, id),
      readReplaced(sql, id),
      readStored(sql, id),
    ]);
  return { decisions, inbox, failed, external, parked, letters, held, replaces, stored };
};

/**
 * The names that stand first in an index, one look into it for each: a table that begins with the
 * handler is asked for an event of any of them.
 */
const handlersOf = (sql: Sql, table: "inbox" | "external_attempts") => {
  const from = sql`outrider.${sql(table)}`;
  return sql`
    recursive names as (
      (select handler from ${from} order by handler limit 1)
      union all
      select (
        select row.handler from ${from} row where row.handler > names.handler
        order by row.handler limit 1
      ) from names where names.handler is not null
    )`;
};

const readInbox = (sql: Sql, id: string) => sql<InboxFact[]>`
  with ${handlersOf(sql, "inbox")}
  select i.handler, i.state, i.topic, i.partition, i."offset"::float8,
    i.recorded_at as "recordedAt"
  from names join outrider.inbox i on i.handler = names.handler and i.event_id = ${id}
  order by i.recorded_at, i.handler`;

/** What has become of an event for a handler; of a dead one, what was decided, if anything. */
export const outcomeStates = ["handled", "parked", "dead", "redriven", "discarded"] as const;

export type Outcome = Readonly<{ handler: string; state: (typeof outcomeStates)[number] }>;

/** By event, for those that any handler has an outcome of. */
export const readOutcomes = async (sql: Sql, ids: readonly string[]) => {
  const rows = await sql<(Outcome & { id: string })[]>`
    with ${handlersOf(sql, "inbox")}
    select i.event_id as id, i.handler,
      -- dead it stays in the inbox, whatever is decided
      case when i.state = 'dead' then coalesce(nullif(letter.state, 'open'), 'dead')
        else i.state end as state
    from names cross join unnest(${ids}::uuid[]) as asked (id)
    join outrider.inbox i on i.handler = names.handler and i.event_id = asked.id
    left join outrider.dead_letters letter
      on letter.event_id = i.event_id and letter.handler = i.handler
    order by i.handler`;
  const told = rows.map(({ id, ...outcome }) => [id, outcome] as const);
  return new Map(
    [...Map.groupBy(told, ([id]) => id)].map(([id, of]) => [id, of.map(([, one]) => one)]),
  );
};

const readExternal = (sql: Sql, id: string) => sql<ExternalAttempt[]>`
  with ${handlersOf(sql, "external_attempts")}
  select e.handler, e.attempt, e.started_at as "startedAt", e.ended_at as "endedAt", e.outcome
  from names join outrider.external_attempts e on e.handler = names.handler and e.event_id = ${id}
  order by e.started_at`;

const readDecisions = (sql: Sql, id: string) => sql<DecisionFact[]>`
  select at, actor as by, action, details from outrider.audit
  where target = ${`events/${id}`} order by audit.id limit ${decisionsMax}`;

/** Most decisions about one event that are told. */
const decisionsMax = 1000;

/** Most attempts of one event that are told. */
const attemptsMax = 1000;

const readFailed = (sql: Sql, id: string) => sql<FailedAttempt[]>`
  select handler, at, attempt, kind, code, message from outrider.failed_attempts
  where event_id = ${id} order by failed_attempts.id limit ${attemptsMax}`;

/** Counting what is ahead stops here. */
const aheadMax = 100_000;

const readParkedRows = (sql: Sql, id: string) => sql<ParkedFact[]>`
  select p.handler, p.head::float8, h.topic, p.partition, p."offset"::float8, p.state,
    p.runs, p.attempt as attempts, p.parked_at as "parkedAt",
    case when ahead.count = 0 and p.state = 'due' then nullif(h.due_at, 'infinity') end as "dueAt",
    coalesce(ahead.count = 0 and h.claimed_until >= clock_timestamp(), false) as "isRunning",
    ahead.count as ahead
  from outrider.parked p
  join outrider.parked_heads h on h.id = p.head
  cross join lateral (
    select count(*)::int as count from (
      select from outrider.parked before
      where before.head = p.head and (before.partition, before."offset") < (p.partition, p."offset")
      limit ${aheadMax}
    ) as counted
  ) as ahead
  where p.event_id = ${id}
  order by p.handler`;

const readLetters = async (sql: Sql, id: string): Promise<LetterFact[]> => {
  const rows = await sql<LetterFact[]>`
  select letter.id::float8, letter.handler, letter.state, letter.topic, letter.partition,
    letter."offset"::float8, letter.skipped, told.history
  from outrider.dead_letters letter
  cross join lateral (
    select coalesce(jsonb_agg(jsonb_build_object(
      'at', entry.at, 'action', entry.action, 'by', entry.by, 'message', entry.message,
      'replacedBy', entry.replaced_by, 'redrive', entry.redrive)
      order by entry.id), '[]') as history
    from outrider.dead_letter_history entry where entry.letter = letter.id
  ) as told
  where letter.event_id = ${id}
  order by letter.id`;
  // Times within JSON come as texts.
  return rows.map(({ history, ...row }) => ({
    ...row,
    history: history.map((entry) => ({ ...entry, at: new Date(entry.at) })),
  }));
};

const readHeld = async (sql: Sql, id: string): Promise<OutboxFact | undefined> => {
  const [row] = await sql<OutboxRow[]>`
    select 'held' as state, null as shard, b.letter_id::float8 as letter, h.type, h.version,
      h.topic, h.key, h.created_at as "createdAt"
    from outrider.outbox_held h join outrider.blocked b on b.id = h.block
    where h.event_id = ${id}`;
  return row && shownOutbox(row);
};

type OutboxRow = Omit<OutboxFact, "key"> & Readonly<{ key: Buffer }>;

const shownOutbox = ({ key, ...row }: OutboxRow): OutboxFact => {
  return { ...row, key: key.toString("utf8") };
};

/** Rows of the outbox that are looked at, the oldest of each shard first. */
export const outboxRowsMax = 100_000;

export type OutboxLook = Readonly<{
  found: OutboxFact | undefined;
  /** Everything that waits was looked at. */
  isWhole: boolean;
}>;

/** The outbox has no index by event: it is written for each event, and asked here alone. */
export const readPendingEvent = async (sql: Sql, id: string): Promise<OutboxLook> => {
  const rows = await sql<(OutboxRow & { examined: number })[]>`
    select looked.examined, 'pending' as state, found.shard, null as letter, found.type,
      found.version, found.topic, found.key, found.created_at as "createdAt"
    from (
      select count(*)::int as examined, max(first.id) filter (where first.event_id = ${id}) as id,
        max(first.shard) filter (where first.event_id = ${id}) as shard
      from (
        select oldest.* from outrider.shards s
        cross join lateral (
          select o.id, o.event_id, o.shard from outrider.outbox o where o.shard = s.shard
          order by o.id limit ${outboxRowsMax}
        ) as oldest
        limit ${outboxRowsMax}
      ) as first
    ) as looked
    left join outrider.outbox found on found.shard = looked.shard and found.id = looked.id`;
  const [row] = rows;
  if (!row) return { found: undefined, isWhole: true };
  const { examined, ...found } = row;
  const isWhole = examined < outboxRowsMax;
  return { found: found.topic === null ? undefined : shownOutbox(found), isWhole };
};

const readReplaced = async (sql: Sql, id: string): Promise<string | undefined> => {
  const [row] = await sql<{ eventId: string }[]>`
    select event_id as "eventId" from outrider.dead_letters where replaced_by = ${id} limit 1`;
  return row?.eventId;
};

const readStored = async (sql: Sql, id: string): Promise<StoredEvent | undefined> => {
  const [row] = await sql<(Omit<StoredEvent, "key"> & { key: Buffer | null })[]>`
    (
      select topic, key, headers, payload, occurred_at as timestamp
      from outrider.dead_letters where event_id = ${id} limit 1
    ) union all (
      select h.topic, p.record_key, p.headers, p.value, to_timestamp(p.timestamp_ms / 1000.0)
      from outrider.parked p join outrider.parked_heads h on h.id = p.head
      where p.event_id = ${id} limit 1
    ) limit 1`;
  return row && { ...row, key: row.key?.toString("utf8") ?? id };
};
