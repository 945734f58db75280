/**
 * Reads a whole topic, from its first record to the end it had when the reading began, without a
 * consumer group. For tests and for looking at things: everything is held in memory, and records
 * of aborted transactions are among it.
 * Throws as `withAdmin` does.
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

/** Records of all partitions, in offset order within each, partition by partition. */
export const readTopic = async (
  connection: KafkaConnection,
  topic: string,
  deadline: Deadline = {},
): Promise<readonly KafkaRecord[]> => {
  const consumer = new Consumer({
    ...clientOptions(connection, "outrider-reader"),
    groupId: "outrider-reader",
  });
  try {
    const limits = { deadlineMs, ...deadline };
    return await withDeadline(readAll(consumer, topic), connection, limits);
  } catch (error) {
    if (isFault(error) || deadline.signal?.aborted) throw error;
    throw fault("unavailable", `The topic ${topic} could not be read.`, { cause: error });
  } finally {
    await closeQuietly(consumer);
  }
};

const readAll = async (consumer: Consumer, topic: string): Promise<readonly KafkaRecord[]> => {
  const metadata = await consumer.metadata({ topics: [topic], forceUpdate: true });
  const found = metadata.topics.get(topic);
  if (!found) throw fault("topic_unknown", `The cluster has no topic ${topic}.`);
  const starts = await offsetsAt(consumer, topic, ListOffsetTimestamps.EARLIEST);
  const ends = await offsetsAt(consumer, topic, ListOffsetTimestamps.LATEST);
  const cursors = found.partitions.map(({ leader }, partition): Cursor => {
    return { partition, leader, next: starts[partition] ?? 0n, end: ends[partition] ?? 0n };
  });
  const records: KafkaRecord[][] = cursors.map(() => []);
  for (const leader of new Set(cursors.map((cursor) => cursor.leader))) {
    const own = cursors.filter((cursor) => cursor.leader === leader);
    while (own.some(isBehind)) {
      for (const fetched of await fetchMore(consumer, found.id, own)) {
        const cursor = cursors[fetched.partitionIndex];
        if (cursor) records[cursor.partition]?.push(...take(topic, cursor, fetched));
      }
    }
  }
  return records.flat();
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
