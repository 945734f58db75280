/** Watermarks beside what Kafka holds now, and where a halted partition is to go on. */

import type { PartitionOffsets, TopicReader } from "@outrider/broker";
import { fault, isFault } from "@outrider/event";
import { isOfLog, readWatermarks } from "@outrider/inbox";
import type { ResumedAt, Watermark, WatermarkFilter } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";

export const logStates = ["same", "other", "unknown"] as const;

export type PartitionStatus = Watermark &
  Readonly<{
    /** Whether Kafka still has the log that the watermark counts in. */
    log: (typeof logStates)[number];
    /** Records that the group has not read; null: it counts in another log, or Kafka is away. */
    lag: number | null;
  }>;

export type PartitionDeps = Readonly<{ sql: Sql; kafka?: TopicReader | undefined }>;

export const listPartitions = async (
  { sql, kafka }: PartitionDeps,
  filter: WatermarkFilter,
): Promise<PartitionStatus[]> => {
  const found = await readWatermarks(sql, filter);
  const topics = [...new Set(found.map((one) => one.topic))];
  const offsets = new Map(
    await Promise.all(topics.map(async (topic) => [topic, await readKnown(kafka, topic)] as const)),
  );
  return found.map((one) => {
    const held = offsets.get(one.topic)?.find(({ partition }) => partition === one.partition);
    return { ...one, ...compare(one, held) };
  });
};

const compare = (
  mark: Watermark,
  held: PartitionOffsets | undefined,
): Pick<PartitionStatus, "log" | "lag"> => {
  if (!held) return { log: "unknown", lag: null };
  if (!isOfLog(mark, held)) return { log: "other", lag: null };
  const log = mark.topicId === null ? "unknown" : "same";
  const isCounted = mark.haltedAt === null;
  return { log, lag: isCounted ? Math.max(0, held.high - Math.max(mark.next, held.low)) : null };
};

/** Nothing where Kafka, or the topic, is not there: all else is known without it. */
const readKnown = async (
  kafka: TopicReader | undefined,
  topic: string,
): Promise<readonly PartitionOffsets[]> => {
  try {
    return (await kafka?.readOffsets(topic)) ?? [];
  } catch (error) {
    if (isFault(error)) return [];
    throw error;
  }
};

export type From = "beginning" | "end" | Date;

export type Wish = Readonly<{
  group: string;
  topic: string;
  /** Absent: all that are halted. */
  partition?: number | undefined;
  from: From;
}>;

/**
 * Where the halted partitions that are meant go on, in the log that Kafka has now. Throws
 * `not_found` when none is halted, or Kafka has no such topic, and `unavailable` without Kafka.
 */
export const chooseOffsets = async (
  { sql, kafka }: PartitionDeps,
  { group, topic, partition, from }: Wish,
): Promise<ResumedAt[]> => {
  const meant = { group, topics: [topic], partition, halted: true };
  const halted = await readWatermarks(sql, meant);
  if (halted.length === 0) throw fault("not_found", `Nothing of ${topic} is halted for ${group}`);
  if (!kafka) throw fault("unavailable", "KAFKA_BOOTSTRAP_SERVERS is not set: no log is known");
  const since = from instanceof Date ? from : undefined;
  const held = await kafka.readOffsets(topic, since).catch((error: unknown) => {
    if (!isFault(error, "topic_unknown")) throw error;
    throw fault("not_found", `Kafka has no topic ${topic}`);
  });
  return halted.map(({ partition: number }) => {
    const log = held.find((one) => one.partition === number);
    if (!log) throw fault("not_found", `Kafka has no partition ${number} of ${topic}`);
    const { clusterId, topicId } = log;
    return { partition: number, next: nextOf(log, from), clusterId, topicId };
  });
};

const nextOf = ({ low, high, since }: PartitionOffsets, from: From): number => {
  if (from === "beginning") return low;
  return from === "end" ? high : since;
};
