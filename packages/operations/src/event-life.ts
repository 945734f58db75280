/** One event's whole life: what the tables and Kafka know of it, and told as a story. */

import { decodeRecord, fault, isFault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import type { TopicReader } from "@outrider/broker";
import { eventIdOfRecord } from "@outrider/inbox";
import { headersOf, pairsOf } from "@outrider/postgres";
import type { HeaderPair, Sql } from "@outrider/postgres";
import { outboxRowsMax, readFacts, readPendingEvent } from "./event-facts.ts";
import type { EventFacts, OutboxFact } from "./event-facts.ts";
import { tellStory } from "./event-story.ts";
import type { Chapter } from "./event-story.ts";
import { searchTopics } from "./topic-search.ts";

export type LifeDeps = Readonly<{ sql: Sql; kafka?: TopicReader | undefined }>;

/** What a caller knows besides the id makes the search in Kafka shorter. */
export type LifeQuery = Readonly<{
  id: string;
  topic?: string | undefined;
  key?: string | undefined;
}>;

/** Where the record is, and what it says. */
export type RecordFact = Readonly<{
  topic: string;
  partition: number;
  offset: number;
  timestamp: Date;
  headers: readonly HeaderPair[];
  /** As text, cut at `payloadCharsMax`; what is no UTF-8 is replaced. */
  payload: string;
  payloadBytes: number;
}>;

/**
 * Of the record: `found` where a table says it is, or by a bounded search; `removed` by the topic's
 * retention; `not found` by the search; `not published`; `away`: Kafka could not be asked.
 */
export type RecordState = "found" | "removed" | "not found" | "not published" | "away";

/** Nobody has an outcome yet, and the group has not come by. */
export type Expected = Readonly<{ handler: string; group: string; behind: number }>;

export type EventLife = Readonly<{
  id: string;
  type: string | null;
  version: number | null;
  source: string | null;
  topic: string | null;
  key: string | null;
  occurredAt: Date | null;
  replaces: string | null;
  outbox: OutboxFact | null;
  recordState: RecordState;
  record: RecordFact | null;
  expected: readonly Expected[];
  /** In order; what has no time stands where it belongs. */
  story: readonly Chapter[];
}> &
  Omit<EventFacts, "held" | "replaces" | "stored">;

/** Characters of a payload that are told. */
const payloadCharsMax = 20_000;
/** Records that a search looks at, and how long it may take, over all topics. */
const search = { recordsMax: 20_000, deadlineMs: 3000 } as const;
/**
 * A record is published after its event got its id; the two times are of two hosts' clocks, which
 * may be so far apart.
 */
const clockSlackMs = 1000;

/** Throws `not_found` when nothing that was looked at knows the event. */
export const readLife = async (deps: LifeDeps, query: LifeQuery): Promise<EventLife> => {
  const facts = await readFacts(deps.sql, query.id);
  const place = placeOf(facts);
  const isKnown = place !== undefined || facts.held !== undefined;
  const pending = isKnown ? undefined : await readPendingEvent(deps.sql, query.id);
  const outbox = facts.held ?? pending?.found;
  const looking = { query, place, isWaiting: outbox !== undefined, replaces: facts.replaces };
  const looked = await findRecord(deps, looking);
  const isNothing = !isKnown && !outbox && !looked.record && facts.letters.length === 0;
  if (isNothing) throw unknown(query, { isWhole: pending?.isWhole ?? true, ...looked });
  const { held: _held, replaces, stored: _stored, ...told } = facts;
  const found = { ...told, outbox: outbox ?? null, replaces: replaces ?? null };
  const envelope = envelopeOf(query.id, facts, looked.record);
  const expected = await readExpected(deps.sql, looked.record ?? place, told.inbox);
  const life = {
    ...{ id: query.id, ...envelope, ...found, expected },
    topic: envelope.topic ?? outbox?.topic ?? null,
    key: envelope.key ?? outbox?.key ?? null,
    type: envelope.type ?? outbox?.type ?? null,
    version: envelope.version ?? outbox?.version ?? null,
    recordState: looked.state,
    record: looked.record ? factOf(looked.record) : null,
  };
  return { ...life, story: tellStory(life) };
};

type Place = Readonly<{ topic: string; partition: number; offset: number }>;

/** Every outcome is kept with the place of its record. */
const placeOf = ({ inbox, parked, letters }: EventFacts): Place | undefined => {
  const [found] = [...inbox, ...parked, ...letters].filter((one) => one.offset !== null);
  if (!found || found.partition === null || found.offset === null) return undefined;
  return { topic: found.topic, partition: found.partition, offset: found.offset };
};

/** `isPart`: the search has come to its bounds. */
type Looked = Readonly<{
  state: RecordState;
  record?: KafkaRecord;
  isPart?: boolean;
  /** Records that were published before have not been looked at. */
  since?: Date;
}>;
type Looking = Readonly<{
  query: LifeQuery;
  place: Place | undefined;
  isWaiting: boolean;
  replaces: string | undefined;
}>;

const findRecord = async (deps: LifeDeps, looking: Looking): Promise<Looked> => {
  const { query, place, isWaiting, replaces } = looking;
  if (!place && isWaiting) return { state: "not published" };
  const { kafka } = deps;
  if (!kafka) return { state: "away" };
  try {
    if (!place) return await searchRecord({ ...deps, kafka }, query);
    const record = await kafka.readRecord(place);
    // In a topic that was made anew another event has that place. An edited one has no own record.
    const isIt = record && (replaces !== undefined || eventIdOfRecord(record) === query.id);
    return isIt ? { state: "found", record } : { state: "removed" };
  } catch (error) {
    if (!isFault(error)) throw error;
    return { state: isFault(error, "topic_unknown") ? "removed" : "away" };
  }
};

const searchRecord = async (
  { sql, kafka }: LifeDeps & Readonly<{ kafka: TopicReader }>,
  { id, topic, key }: LifeQuery,
): Promise<Looked> => {
  const madeMs = timeOf(id);
  if (madeMs === undefined && topic === undefined) return { state: "not found", isPart: true };
  const topics = topic === undefined ? await readTopics(sql) : [topic];
  const since = new Date(madeMs === undefined ? 0 : madeMs - clockSlackMs);
  const wanted = { eventId: id, since, ...(key !== undefined && { key }) };
  const { looks, isWhole } = await searchTopics(topics, search, {
    look: (one, limits) => kafka.findRecord({ topic: one, ...wanted }, limits),
    isEnough: ({ record }) => record !== undefined,
  });
  const record = looks.at(-1)?.record;
  return record ? { state: "found", record } : { state: "not found", isPart: !isWhole, since };
};

/** Those that handlers read, as far as any worker has said. */
export const readTopics = async (sql: Sql): Promise<string[]> => {
  const rows = await sql<{ topic: string }[]>`
    select distinct unnest(topics) as topic from outrider.handlers order by topic`;
  return rows.map((row) => row.topic);
};

/** A UUID v7 begins with the milliseconds since 1970. */
export const timeOf = (id: string): number | undefined =>
  /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-/i.test(id)
    ? Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
    : undefined;

const unknown = (
  { id, topic }: LifeQuery,
  { state, isPart = false, since, isWhole }: Looked & Readonly<{ isWhole: boolean }>,
) => {
  const rows = isWhole ? "" : `, of which the oldest ${outboxRowsMax} rows were looked at`;
  const where = topic === undefined ? "the topics that handlers read" : topic;
  const from = since && since.getTime() > 0 ? ` from ${since.toISOString()} on` : "";
  const part = isPart ? ", of which a part was looked at" : "";
  const kafka =
    state === "away" ? "Kafka could not be asked" : `nor is it in ${where}${from}${part}`;
  const who = `No handler and no letter knows an event ${id}, nor does the outbox${rows}`;
  return fault("not_found", `${who}; ${kafka}`);
};

const factOf = (record: KafkaRecord): RecordFact => {
  const { topic, partition, offset, timestampMs, headers, value } = record;
  return {
    ...{ topic, partition, offset },
    timestamp: new Date(timestampMs),
    headers: pairsOf(headers),
    payload: Buffer.from(value ?? [])
      .toString("utf8")
      .slice(0, payloadCharsMax),
    payloadBytes: value?.length ?? 0,
  };
};

const nothing = { type: null, version: null, source: null, topic: null, key: null };

/** What the record says, or what is kept of it where that is gone. */
const envelopeOf = (id: string, { stored }: EventFacts, record: KafkaRecord | undefined) => {
  const source = record ?? (stored && keptRecord(stored));
  if (!source) return { ...nothing, occurredAt: null };
  const key = Buffer.from(source.key ?? Buffer.from(id)).toString("utf8");
  const { topic } = source;
  try {
    const { type, version, source: from, occurredAt } = decodeRecord(source);
    return { type, version, source: from, topic, key, occurredAt: dateOf(occurredAt) };
  } catch {
    return { ...nothing, topic, key, occurredAt: new Date(source.timestampMs) };
  }
};

/** What other producers have written there may be no time. */
const dateOf = (text: string): Date | null => {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? null : date;
};

const keptRecord = (stored: NonNullable<EventFacts["stored"]>): KafkaRecord => ({
  topic: stored.topic,
  partition: 0,
  offset: 0,
  key: Buffer.from(stored.key),
  value: stored.payload as Buffer | null,
  headers: headersOf(stored.headers),
  timestampMs: stored.timestamp.getTime(),
});

/** Handlers whose groups have not come by the record yet. */
const readExpected = async (
  sql: Sql,
  place: Place | undefined,
  known: EventFacts["inbox"],
): Promise<Expected[]> => {
  if (!place) return [];
  const { topic, partition, offset } = place;
  return [
    ...(await sql<Expected[]>`
      select h.name as handler, h."group",
        greatest(0, ${offset} - coalesce(w.next_offset, 0))::float8 as behind
      from outrider.handlers h
      left join outrider.watermarks w
        on w."group" = h."group" and w.topic = ${topic} and w.partition = ${partition}
      where ${topic} = any(h.topics) and h.name <> all(${known.map((one) => one.handler)}::text[])
        and coalesce(w.next_offset, 0) <= ${offset}
      order by h.name`),
  ];
};
