/**
 * Events by what people know of them: a key, a chain, a type, a time. No table has all events, so
 * what waits in Postgres is asked, and the stretch of Kafka's logs that they may be in is read.
 */

import type { TopicReader } from "@outrider/broker";
import { headerTexts, isFault, readType } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { eventIdOfRecord } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import { readOutcomes } from "./event-facts.ts";
import type { Outcome } from "./event-facts.ts";
import { readTopics, timeOf } from "./event-life.ts";
import type { LifeDeps } from "./event-life.ts";
import { searchTopics } from "./topic-search.ts";

export type EventQuery = Readonly<{
  key?: string | undefined;
  correlationId?: string | undefined;
  type?: string | undefined;
  topic?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
  limit: number;
}>;

/** Where an event is: before Kafka, given up before it got there, or in it. */
export const eventStates = ["pending", "held", "dead", "published"] as const;

export type ListedEvent = Readonly<{
  id: string;
  state: (typeof eventStates)[number];
  type: string | null;
  version: number | null;
  topic: string;
  partition: number | null;
  offset: number | null;
  key: string;
  correlationId: string | null;
  /** When it was published; where it was not, when it was written. */
  at: Date;
  outcomes: readonly Outcome[];
}>;

export type EventList = Readonly<{
  /** The oldest first. */
  items: readonly ListedEvent[];
  /** What was published before has not been looked at. */
  since: Date;
  /** All that may match was looked at; false: there may be more. */
  isWhole: boolean;
  /** Kafka could not be asked: what it holds is not among them. */
  isKafkaAway: boolean;
}>;

/** Records that a search looks at, and how long it may take, over all topics. */
const search = { recordsMax: 50_000, deadlineMs: 4000 } as const;
/** Without a time, and a key that has one, this far back. */
const sinceMs = 24 * 3_600_000;
/** An event of a key is published after the key was made, by the clocks of two hosts. */
const clockSlackMs = 1000;

export const listEvents = async (deps: LifeDeps, query: EventQuery): Promise<EventList> => {
  const since = query.since ?? sinceOf(query, Date.now());
  const wanted = { ...query, since };
  const [waiting, logged] = await Promise.all([
    readWaiting(deps.sql, wanted),
    readLogged(deps, wanted),
  ]);
  const distinct = distinctOf([...waiting.events, ...logged.events]);
  const found = distinct.slice(0, query.limit);
  const outcomes = await readOutcomes(
    deps.sql,
    found.map((one) => one.id),
  );
  const isAll = distinct.length <= query.limit;
  return {
    items: found.map((one) => ({ ...one, outcomes: outcomes.get(one.id) ?? [] })),
    ...{ since, isWhole: isAll && waiting.isWhole && logged.isWhole },
    isKafkaAway: logged.isAway,
  };
};

/** One may be in Kafka and still in the outbox, or in Kafka twice: its first record counts. */
const distinctOf = (found: readonly Found[]): Found[] => {
  const inOrder = found.toSorted((a, b) => a.at.getTime() - b.at.getTime());
  const published = inOrder.filter((one) => one.state === "published");
  const others = inOrder.filter((one) => one.state !== "published");
  const first = new Map([...others, ...published.toReversed()].map((one) => [one.id, one]));
  return inOrder.filter((one) => first.get(one.id) === one);
};

/** A key that is a UUID v7 says when it was made. */
const sinceOf = ({ key }: EventQuery, nowMs: number): Date => {
  const madeMs = key === undefined ? undefined : timeOf(key);
  return new Date(madeMs === undefined ? nowMs - sinceMs : madeMs - clockSlackMs);
};

type Wanted = EventQuery & Readonly<{ since: Date }>;
type Found = Omit<ListedEvent, "outcomes">;
type Part = Readonly<{ events: readonly Found[]; isWhole: boolean }>;

/** Rows of each table that are looked at, the oldest first. */
const rowsMax = 100_000;

const readWaiting = async (sql: Sql, wanted: Wanted): Promise<Part> => {
  const { key, correlationId, type, topic, since, until, limit } = wanted;
  const correlation = sql`
    (headers ->> 'ce_correlationid' = ${correlationId ?? null}
      or headers @> ${JSON.stringify([["ce_correlationid", correlationId ?? ""]])}::text::jsonb)`;
  const rows = await sql<(Row | Readonly<{ id: null; examined: number }>)[]>`
    with looked as (
      (
        select 'pending' as state, event_id, type, version, topic, key, headers, created_at
        from outrider.outbox limit ${rowsMax}
      ) union all (
        select 'held', event_id, type, version, topic, key, headers, created_at
        from outrider.outbox_held limit ${rowsMax}
      ) union all (
        select 'dead', event_id, type, version, topic, key, headers, occurred_at
        from outrider.dead_letters letter
        where handler is null and state = 'open' and not exists (
          select from outrider.outbox_held held where held.event_id = letter.event_id
        ) limit ${rowsMax}
      )
    )
    select total.examined, found.event_id as id, found.state, found.type, found.version,
      found.topic, found.key, found.created_at as at, null as partition, null as "offset",
      case when jsonb_typeof(found.headers) = 'object' then found.headers ->> 'ce_correlationid'
        end as "correlationId"
    from (select count(*)::int as examined from looked) as total
    left join lateral (
      select * from looked
      where created_at >= ${since}
        and ${until === undefined ? sql`true` : sql`created_at < ${until}`}
        and ${key === undefined ? sql`true` : sql`key = ${Buffer.from(key)}`}
        and ${type === undefined ? sql`true` : sql`type = ${type}`}
        and ${topic === undefined ? sql`true` : sql`topic = ${topic}`}
        and ${correlationId === undefined ? sql`true` : correlation}
      order by created_at limit ${limit + 1}
    ) as found on true`;
  const events = rows
    .filter((row) => row.id !== null)
    .map(({ examined: _examined, key: bytes, ...row }) => ({
      ...row,
      key: bytes.toString("utf8"),
    }));
  return { events, isWhole: (rows[0]?.examined ?? 0) < rowsMax };
};

type Row = Omit<Found, "key"> & Readonly<{ key: Buffer; examined: number }>;

type Logged = Part & Readonly<{ isAway: boolean }>;

const readLogged = async ({ sql, kafka }: LifeDeps, wanted: Wanted): Promise<Logged> => {
  const nothing = { events: [], isWhole: false, isAway: true };
  if (!kafka) return nothing;
  const topics = wanted.topic === undefined ? await readTopics(sql) : [wanted.topic];
  try {
    return { ...(await searchRecords(kafka, topics, wanted)), isAway: false };
  } catch (error) {
    if (!isFault(error)) throw error;
    return nothing;
  }
};

const searchRecords = async (
  kafka: TopicReader,
  topics: readonly string[],
  { limit, key, since, until, ...wanted }: Wanted,
): Promise<Part> => {
  const isWanted = (record: KafkaRecord) => matches(record, { key, ...wanted });
  const { looks, isWhole } = await searchTopics(topics, search, {
    look: (topic, limits) =>
      kafka.findRecords(
        { stretch: { topic, key, since, until }, isWanted },
        { ...limits, foundMax: limit + 1 },
      ),
    isEnough: (looked) => !looked.isWhole,
  });
  return { events: looks.flatMap(({ records }) => records.map(foundOf)), isWhole };
};

type Sought = Pick<EventQuery, "key" | "correlationId" | "type">;

const matches = (record: KafkaRecord, { key, correlationId, type }: Sought): boolean => {
  if (key !== undefined && keyOf(record) !== key) return false;
  if (type !== undefined && readType(record.headers)?.type !== type) return false;
  return correlationId === undefined || correlationOf(record) === correlationId;
};

const keyOf = ({ key }: KafkaRecord): string => Buffer.from(key ?? []).toString("utf8");

const correlationOf = ({ headers }: KafkaRecord): string | undefined => {
  try {
    return headerTexts(headers).ce_correlationid;
  } catch {
    return undefined;
  }
};

const foundOf = (record: KafkaRecord): Found => {
  const { topic, partition, offset, timestampMs } = record;
  const { type, version } = readType(record.headers) ?? { type: null, version: null };
  return {
    ...{ id: eventIdOfRecord(record), state: "published", type, version, topic, partition },
    ...{ offset, key: keyOf(record), correlationId: correlationOf(record) ?? null },
    at: new Date(timestampMs),
  };
};
