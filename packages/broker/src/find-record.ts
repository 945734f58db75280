/** A search through a stretch of a topic's log for records. */

import { partitionOf } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { ListOffsetTimestamps } from "@platformatic/kafka";
import { fetchMore, take } from "./fetch.ts";
import type { ReadingClient } from "./fetch.ts";
import type { KeptClient } from "./kept-client.ts";
import { findTopic, offsetsAt } from "./offsets.ts";

export type Stretch = Readonly<{
  topic: string;
  /** Looks only where Kafka's default partitioner puts this key; a topic may have grown since. */
  key?: string | undefined;
  /**
   * From the first record that was not published before, up to the first one that was not published
   * before `until`. A topic that takes its producers' times may have records out of order.
   */
  since: Date;
  until?: Date | undefined;
}>;

export type WantedRecord = Stretch &
  Readonly<{
    /** As it stands in the header `ce_id`. */
    eventId: string;
  }>;

export type SearchLimits = Readonly<{
  recordsMax: number;
  /** After it no other step is begun. */
  deadlineMs: number;
}>;

export type FoundRecords = Readonly<{
  /** In offset order within each partition. */
  records: readonly KafkaRecord[];
  examined: number;
  /** Nothing of the stretch is left to look at: what was not found is not there. */
  isWhole: boolean;
}>;

export type FoundRecord = Omit<FoundRecords, "records"> & Readonly<{ record?: KafkaRecord }>;

/** Where a search is in a partition, and where its stretch ends. */
type Span = { readonly partition: number; next: bigint; readonly end: bigint };

/** Of one answer: of each partition, and of all of them. */
const partitionBytesMax = 1024 * 1024;
const answerBytesMax = 4 * partitionBytesMax;
const waitMs = 100;

export const findRecord = async (
  ask: KeptClient["ask"],
  { eventId, ...stretch }: WantedRecord,
  limits: SearchLimits,
): Promise<FoundRecord> => {
  const id = Buffer.from(eventId);
  const isWanted = ({ headers }: KafkaRecord) =>
    headers.some(({ ce_id: value }) => value && id.equals(value));
  const found = await findRecords(ask, { stretch, isWanted }, { ...limits, foundMax: 1 });
  const { records, ...looked } = found;
  const [record] = records;
  return { ...looked, ...(record && { record }) };
};

export type Search = Readonly<{ stretch: Stretch; isWanted(record: KafkaRecord): boolean }>;

/** Ends with the last record that is wanted, at its limits, or with the stretch. */
export const findRecords = async (
  ask: KeptClient["ask"],
  { stretch, isWanted }: Search,
  { recordsMax, deadlineMs, foundMax }: SearchLimits & Readonly<{ foundMax: number }>,
): Promise<FoundRecords> => {
  const untilMs = performance.now() + deadlineMs;
  const spans = await ask((client) => spansOf(client, stretch));
  const records: KafkaRecord[] = [];
  let examined = 0;
  while (spans.some(isLeft)) {
    if (examined >= recordsMax || performance.now() >= untilMs) break;
    for (const record of await ask((client) => readMore(client, stretch.topic, spans))) {
      if (examined >= recordsMax) return { records, examined, isWhole: false };
      examined += 1;
      if (!isWanted(record)) continue;
      records.push(record);
      if (records.length >= foundMax) return { records, examined, isWhole: false };
    }
  }
  return { records, examined, isWhole: !spans.some(isLeft) };
};

const isLeft = ({ next, end }: Span): boolean => next < end;

const spansOf = async (
  client: ReadingClient,
  { topic, key, since, until }: Stretch,
): Promise<Span[]> => {
  const { partitionsCount } = await findTopic(client, topic);
  const at = (timestamp: bigint) => offsetsAt(client, [topic], timestamp);
  const [begins, ends, highs] = await Promise.all([
    at(BigInt(since.getTime())),
    until && at(BigInt(until.getTime())),
    at(ListOffsetTimestamps.LATEST),
  ]);
  const only = key === undefined ? undefined : partitionOf(Buffer.from(key), partitionsCount);
  return (highs.get(topic) ?? []).flatMap((high, partition) => {
    if (only !== undefined && partition !== only) return [];
    // Kafka says -1 when all records are older.
    const begin = begins.get(topic)?.[partition] ?? -1n;
    const end = ends?.get(topic)?.[partition] ?? -1n;
    return [{ partition, next: begin < 0n ? high : begin, end: end < 0n ? high : end }];
  });
};

/** The next records of the partitions of one leader. */
const readMore = async (
  client: ReadingClient,
  topic: string,
  spans: readonly Span[],
): Promise<readonly KafkaRecord[]> => {
  const { id: topicId, partitions } = await findTopic(client, topic);
  const leaderOf = ({ partition }: Span) => partitions[partition]?.leader ?? -1;
  const left = spans.filter(isLeft);
  const [first] = left.map(leaderOf);
  const own = left.filter((span) => leaderOf(span) === first);
  const cursors = own.map((span) => ({ ...span, leader: leaderOf(span) }));
  const wish = { topicId, cursors, bytesMax: partitionBytesMax, answerBytesMax, waitMs };
  const records: KafkaRecord[] = [];
  for (const fetched of await fetchMore(client, wish)) {
    const cursor = cursors.find((one) => one.partition === fetched.partitionIndex);
    if (cursor) records.push(...take(topic, cursor, fetched));
  }
  // Only now: a step that fails is done again from where it began.
  for (const [at, span] of own.entries()) span.next = cursors[at]?.next ?? span.next;
  return records;
};
