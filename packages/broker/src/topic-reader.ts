/**
 * Looks into topics again and again over a connection that stays open, for a process that shows
 * them to people. It joins no consumer group. While the cluster is away each call ends in time,
 * and the first one after it is back succeeds.
 */

import type { KafkaConnection, KafkaRecord } from "@outrider/event";
import { ListOffsetTimestamps } from "@platformatic/kafka";
import { apiCodes } from "./api-error.ts";
import { fetchMore, take } from "./fetch.ts";
import type { ReadingClient } from "./fetch.ts";
import { findRecord, findRecords } from "./find-record.ts";
import type { FoundRecord, FoundRecords, Search } from "./find-record.ts";
import type { SearchLimits, WantedRecord } from "./find-record.ts";
import { createKeptClient } from "./kept-client.ts";
import { topicOffsets } from "./logs.ts";
import type { PartitionOffsets } from "./logs.ts";
import { findKnown, findTopic, offsetsAt } from "./offsets.ts";

export type TopicEnd = Readonly<{
  topic: string;
  partition: number;
  /** Of the first record that is there, and behind the last one. */
  low: number;
  high: number;
}>;

export type RecordPlace = Readonly<{ topic: string; partition: number; offset: number }>;

/** All throw Fault `unavailable` when the cluster does not answer, and `forbidden`. */
export type TopicReader = Readonly<{
  /** Topics that do not exist are left out. */
  readEnds(topics: readonly string[]): Promise<readonly TopicEnd[]>;
  /** Of all partitions, and of which log they are. Throws `topic_unknown`. */
  readOffsets(topic: string, since?: Date): Promise<readonly PartitionOffsets[]>;
  /** Undefined when retention has removed it, or nothing is there yet. Throws `topic_unknown`. */
  readRecord(place: RecordPlace): Promise<KafkaRecord | undefined>;
  /** Throws `topic_unknown`. A single question to the cluster may exceed the deadline. */
  findRecord(wanted: WantedRecord, limits: SearchLimits): Promise<FoundRecord>;
  /** The same for all that are wanted, up to so many. */
  findRecords(
    search: Search,
    limits: SearchLimits & Readonly<{ foundMax: number }>,
  ): Promise<FoundRecords>;
  close(): Promise<void>;
}>;

export type ReaderSettings = Readonly<{
  /** How long the cluster may take for one call, or one step of a search; connecting included. */
  answerTimeoutMs?: number;
}>;

const defaults = { answerTimeoutMs: 2000 } as const;

/** Nothing is opened before the first call. */
export const createTopicReader = (
  connection: KafkaConnection,
  settings: ReaderSettings = {},
): TopicReader => {
  const { ask, close } = createKeptClient(connection, { ...defaults, ...settings });
  return {
    readEnds: async (topics) => (topics.length > 0 ? ask((client) => endsOf(client, topics)) : []),
    readOffsets: (topic, since) => ask((client) => topicOffsets(client, topic, since)),
    readRecord: (place) => ask((client) => recordAt(client, place)),
    findRecord: (wanted, limits) => findRecord(ask, wanted, limits),
    findRecords: (search, limits) => findRecords(ask, search, limits),
    close,
  };
};

const endsOf = async (
  client: ReadingClient,
  topics: readonly string[],
): Promise<readonly TopicEnd[]> => {
  const known = await findKnown(client, topics);
  if (known.length === 0) return [];
  const [lows, highs] = await Promise.all([
    offsetsAt(client, known, ListOffsetTimestamps.EARLIEST),
    offsetsAt(client, known, ListOffsetTimestamps.LATEST),
  ]);
  return known.flatMap((topic) =>
    (highs.get(topic) ?? []).map((high, partition) => {
      const low = lows.get(topic)?.[partition] ?? 0n;
      return { topic, partition, low: Number(low), high: Number(high) };
    }),
  );
};

/** Kafka's error code for what is not there any more, or not yet. */
const outOfRange = 1;

const recordAt = async (
  client: ReadingClient,
  { topic, partition, offset }: RecordPlace,
): Promise<KafkaRecord | undefined> => {
  const { id: topicId, partitions } = await findTopic(client, topic);
  const leader = partitions[partition]?.leader;
  if (leader === undefined) return undefined;
  const next = BigInt(offset);
  const cursor = { partition, leader, next, end: next + 1n };
  // Of no more than the one batch that has it, and without waiting for one that has not come.
  const wish = { topicId, cursors: [cursor], bytesMax: 1, waitMs: 0 };
  try {
    const fetched = await fetchMore(client, wish);
    return fetched.flatMap((one) => take(topic, cursor, one))[0];
  } catch (error) {
    if (apiCodes(error).includes(outOfRange)) return undefined;
    throw error;
  }
};
