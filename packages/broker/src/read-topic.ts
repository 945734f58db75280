/**
 * Reads topics without a consumer group: nothing of it is seen by any other reader. Records of
 * aborted transactions are among what is read. Throws as `withAdmin` does, and `topic_unknown`.
 */

import { fault, isFault } from "@outrider/event";
import type { KafkaConnection, KafkaRecord, LogIdentity } from "@outrider/event";
import { Consumer, ListOffsetTimestamps } from "@platformatic/kafka";
import { clientOptions, closeQuietly, withDeadline } from "./admin.ts";
import type { Deadline } from "./admin.ts";
import { fetchMore, isBehind, take } from "./fetch.ts";
import type { Cursor } from "./fetch.ts";
import { topicOffsets } from "./logs.ts";
import type { PartitionOffsets } from "./logs.ts";
import { findTopic, offsetsAt } from "./offsets.ts";

const deadlineMs = 60_000;
const partitionBytesMax = 4 * 1024 * 1024;
const waitMs = 500;
const fresh = { forceUpdate: true } as const;

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
  await findTopic(consumer, topic, fresh);
  const read = async (timestamp: bigint) =>
    (await offsetsAt(consumer, [topic], timestamp)).get(topic) ?? [];
  const starts = await read(ListOffsetTimestamps.EARLIEST);
  const ends = await read(ListOffsetTimestamps.LATEST);
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
  /** What the offsets count in, where it is known. */
  log?: LogIdentity | null;
  ranges: readonly OffsetRange[];
  /** In offset order within each partition. The next ones are fetched when it resolves. */
  onRecords(records: readonly KafkaRecord[], partition: number): Promise<void>;
  signal?: AbortSignal | undefined;
}>;

/**
 * Resolves when all records were given, or when it was aborted. Throws `conflict` when the topic is
 * another log than the given one; made anew amid the reading it ends it, since a fetch asks for the
 * topic by its id.
 */
export const readRanges = (connection: KafkaConnection, reading: RangeReading): Promise<void> =>
  withReader(connection, reading, (consumer) => readAllRanges(consumer, reading));

/** Where the partitions of a topic begin and end, and where the records since a time begin. */
export const readOffsets = (
  connection: KafkaConnection,
  topic: string,
  since?: Date,
): Promise<PartitionOffsets[]> =>
  withReader(connection, {}, (consumer) => topicOffsets(consumer, topic, since));

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

const readAllRanges = async (
  consumer: Consumer,
  { topic, log, ranges, onRecords, signal }: RangeReading,
): Promise<void> => {
  const offsets = await topicOffsets(consumer, topic);
  const found = await findTopic(consumer, topic);
  const ends = offsets.map((one) => one.high);
  const isStrange = ({ clusterId, topicId }: LogIdentity) =>
    topicId !== found.id || (log && (clusterId !== log.clusterId || topicId !== log.topicId));
  if (offsets.some(isStrange)) throw fault("conflict", `${topic} has been made anew`);
  const cursors = ranges.map(({ partition, from, to }): Cursor => {
    const leader = found.partitions[partition]?.leader ?? -1;
    // What is not there yet is not waited for.
    const end = Math.min(to, ends[partition] ?? 0);
    return { partition, leader, next: BigInt(from), end: BigInt(end) };
  });
  for (const leader of new Set(cursors.map((cursor) => cursor.leader))) {
    const own = cursors.filter((cursor) => cursor.leader === leader);
    while (own.some(isBehind) && !signal?.aborted) {
      const wish = { topicId: found.id, cursors: own, bytesMax: partitionBytesMax, waitMs };
      for (const fetched of await fetchMore(consumer, wish)) {
        const cursor = own.find((one) => one.partition === fetched.partitionIndex);
        if (cursor) await onRecords(take(topic, cursor, fetched), cursor.partition);
      }
    }
  }
};
