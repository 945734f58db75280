/**
 * Reads topics without a consumer group: nothing of it is seen by any other reader. Records of
 * aborted transactions are among what is read. Throws as `withAdmin` does, and `topic_unknown`.
 */

import { setTimeout as delay } from "node:timers/promises";
import { fault, isFault } from "@outrider/event";
import type { Header, KafkaConnection, KafkaRecord } from "@outrider/event";
import { Consumer, ListOffsetTimestamps } from "@platformatic/kafka";
import { apiCodes } from "./api-error.ts";
import { clientOptions, closeQuietly, withDeadline } from "./admin.ts";
import type { Deadline } from "./admin.ts";

type Cursor = {
  readonly partition: number;
  readonly leader: number;
  next: bigint;
  readonly end: bigint;
};
type Fetched = Awaited<ReturnType<Consumer["fetch"]>>["responses"][number]["partitions"][number];

const deadlineMs = 60_000;
const partitionBytesMax = 4 * 1024 * 1024;
const waitMs = 500;
const retryMs = 50;
/** Kafka's error codes: unknown topic or partition, no leader, not the leader. */
const notYet: readonly number[] = [3, 5, 6];
/** Bit of a batch that holds markers of transactions, not records. */
const controlBit = 0b10_0000;

/**
 * A whole topic, from its first record to the end it had when the reading began, held in memory:
 * for tests and for looking at things. In offset order within each partition, one after the other.
 */
export const readTopic = async (
  connection: KafkaConnection,
  topic: string,
  deadline: Deadline = {},
): Promise<readonly KafkaRecord[]> => {
  const limits = { deadlineMs, ...deadline };
  const { signal } = deadline;
  return withReader(connection, { signal }, (consumer) =>
    withDeadline(readAll(consumer, topic), connection, limits),
  );
};

const readAll = async (consumer: Consumer, topic: string): Promise<readonly KafkaRecord[]> => {
  await findTopic(consumer, topic);
  const starts = await offsetsAt(consumer, topic, ListOffsetTimestamps.EARLIEST);
  const ends = await offsetsAt(consumer, topic, ListOffsetTimestamps.LATEST);
  const ranges = ends.map((to, partition) => {
    return { partition, from: Number(starts[partition] ?? 0n), to: Number(to) };
  });
  const records: KafkaRecord[][] = ranges.map(() => []);
  const onRecords = async (found: readonly KafkaRecord[], partition: number): Promise<void> => {
    records[partition]?.push(...found);
  };
  await readAllRanges(consumer, { topic, ranges, onRecords });
  return records.flat();
};

/** A partition's records from an offset up to another one, which is left out. */
export type OffsetRange = Readonly<{ partition: number; from: number; to: number }>;

export type RangeReading = Readonly<{
  topic: string;
  ranges: readonly OffsetRange[];
  /** In offset order within each partition. The next ones are fetched when it resolves. */
  onRecords(records: readonly KafkaRecord[], partition: number): Promise<void>;
  signal?: AbortSignal | undefined;
}>;

/** Resolves when all records were given, or when it was aborted. */
export const readRanges = (connection: KafkaConnection, reading: RangeReading): Promise<void> =>
  withReader(connection, reading, (consumer) => readAllRanges(consumer, reading));

export type PartitionOffsets = Readonly<{
  partition: number;
  /** Of the first record that is there, and behind the last one. */
  low: number;
  high: number;
  /** Of the first record that is not older than what was asked for. */
  since: number;
}>;

/** Where the partitions of a topic begin and end, and where the records since a time begin. */
export const readOffsets = (
  connection: KafkaConnection,
  topic: string,
  since = new Date(0),
): Promise<PartitionOffsets[]> =>
  withReader(connection, {}, async (consumer) => {
    await findTopic(consumer, topic);
    const read = (timestamp: bigint) => offsetsAt(consumer, topic, timestamp);
    const lows = await read(ListOffsetTimestamps.EARLIEST);
    const highs = await read(ListOffsetTimestamps.LATEST);
    const found = await read(BigInt(since.getTime()));
    return highs.map((end, partition) => {
      const [low, high] = [Number(lows[partition] ?? 0n), Number(end)];
      const first = Number(found[partition] ?? -1n);
      // Kafka says -1 when all records are older.
      return { partition, low, high, since: first < 0 ? high : Math.max(first, low) };
    });
  });

const withReader = async <T>(
  connection: KafkaConnection,
  { signal }: Readonly<{ signal?: AbortSignal | undefined }>,
  use: (consumer: Consumer) => Promise<T>,
): Promise<T> => {
  const consumer = new Consumer({
    ...clientOptions(connection, "outrider-reader"),
    groupId: "outrider-reader",
  });
  try {
    return await use(consumer);
  } catch (error) {
    if (isFault(error) || signal?.aborted) throw error;
    throw fault("unavailable", "The topic could not be read.", { cause: error });
  } finally {
    await closeQuietly(consumer);
  }
};

const findTopic = async (consumer: Consumer, topic: string) => {
  const metadata = await consumer.metadata({ topics: [topic], forceUpdate: true });
  const found = metadata.topics.get(topic);
  if (!found) throw fault("topic_unknown", `The cluster has no topic ${topic}.`);
  return found;
};

const readAllRanges = async (
  consumer: Consumer,
  { topic, ranges, onRecords, signal }: RangeReading,
): Promise<void> => {
  const found = await findTopic(consumer, topic);
  const ends = await offsetsAt(consumer, topic, ListOffsetTimestamps.LATEST);
  const cursors = ranges.map(({ partition, from, to }): Cursor => {
    const leader = found.partitions[partition]?.leader ?? -1;
    // What is not there yet is not waited for.
    const end = Math.min(to, Number(ends[partition] ?? 0n));
    return { partition, leader, next: BigInt(from), end: BigInt(end) };
  });
  for (const leader of new Set(cursors.map((cursor) => cursor.leader))) {
    const own = cursors.filter((cursor) => cursor.leader === leader);
    while (own.some(isBehind) && !signal?.aborted) {
      for (const fetched of await fetchMore(consumer, found.id, own)) {
        const cursor = own.find((one) => one.partition === fetched.partitionIndex);
        if (cursor) await onRecords(take(topic, cursor, fetched), cursor.partition);
      }
    }
  }
};

/** A partition that was just created has a leader that does not know of it for a moment. */
const offsetsAt = async (
  consumer: Consumer,
  topic: string,
  timestamp: bigint,
): Promise<readonly bigint[]> => {
  for (;;) {
    try {
      return (await consumer.listOffsets({ topics: [topic], timestamp })).get(topic) ?? [];
    } catch (error) {
      // It ends at the latest with the deadline, which closes the client.
      if (!apiCodes(error).some((code) => notYet.includes(code))) throw error;
      await delay(retryMs);
    }
  }
};

const isBehind = (cursor: Cursor): boolean => cursor.next < cursor.end;

const fetchMore = async (
  consumer: Consumer,
  topicId: string,
  cursors: readonly Cursor[],
): Promise<readonly Fetched[]> => {
  const behind = cursors.filter(isBehind);
  const answer = await consumer.fetch({
    node: behind[0]?.leader ?? -1,
    maxWaitTime: waitMs,
    topics: [
      {
        topicId,
        partitions: behind.map(({ partition, next }) => ({
          partition,
          currentLeaderEpoch: -1,
          fetchOffset: next,
          lastFetchedEpoch: -1,
          partitionMaxBytes: partitionBytesMax,
        })),
      },
    ],
  });
  return answer.responses.flatMap((response) => response.partitions);
};

/** The new records of one partition's answer, and the cursor behind them. */
const take = (topic: string, cursor: Cursor, fetched: Fetched): readonly KafkaRecord[] => {
  const records: KafkaRecord[] = [];
  for (const batch of fetched.records ?? []) {
    const isControl = (batch.attributes & controlBit) !== 0;
    for (const record of isControl ? [] : batch.records) {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      // A batch comes whole, so it may begin before what was asked for.
      if (offset < cursor.next || offset >= cursor.end) continue;
      records.push({
        topic,
        partition: cursor.partition,
        offset: Number(offset),
        timestampMs: Number(batch.firstTimestamp + record.timestampDelta),
        key: record.key,
        value: record.value,
        headers: record.headers.map(([name, value]): Header => {
          return { [String(name)]: value ?? new Uint8Array() };
        }),
      });
    }
    const after = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
    if (after > cursor.next) cursor.next = after;
  }
  return records;
};
