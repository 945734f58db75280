/**
 * What the brokers hold of partitions, and of which log it is: the cluster's id and the topic's. A
 * topic may be deleted and made anew between two questions, so the id is asked for before and after
 * all others.
 */

import { fault } from "@outrider/event";
import type { AskedLog, KafkaConnection, LogIdentity, PartitionLog } from "@outrider/event";
import type { ReadLogs } from "@outrider/event";
import { ListOffsetTimestamps } from "@platformatic/kafka";
import type { ClusterMetadata } from "@platformatic/kafka";
import { saysUnknownTopic } from "./api-error.ts";
import type { OffsetsClient, ReadingClient } from "./fetch.ts";
import { createKeptClient } from "./kept-client.ts";
import { askOffsets, offsetsAt } from "./offsets.ts";

export type LogReader = Readonly<{ readLogs: ReadLogs; close(): Promise<void> }>;

export type LogReaderSettings = Readonly<{
  /** How long the cluster may take for one answer; connecting included. */
  answerTimeoutMs?: number;
}>;

/** A worker that stops waits for one answer at most. */
const defaults = { answerTimeoutMs: 1500 } as const;

/** For a process that goes on: one connection to each broker, opened with the first question. */
export const createLogReader = (
  connection: KafkaConnection,
  settings: LogReaderSettings = {},
): LogReader => {
  const { ask, close } = createKeptClient(connection, { ...defaults, ...settings });
  return {
    readLogs: async (asked) => (asked.length > 0 ? ask((client) => logsOf(client, asked)) : []),
    close,
  };
};

export type PartitionOffsets = LogIdentity &
  Readonly<{
    partition: number;
    /** Of the first record that is there, and behind the last one. */
    low: number;
    high: number;
    /** Of the first record that is not older than what was asked for. */
    since: number;
  }>;

/** All partitions of a topic. Throws `topic_unknown`. */
export const topicOffsets = (
  client: OffsetsClient,
  topic: string,
  since = new Date(0),
): Promise<PartitionOffsets[]> =>
  ofOneLog(client, [topic], async (identityOf) => {
    const read = async (timestamp: bigint) =>
      (await offsetsAt(client, [topic], timestamp)).get(topic) ?? [];
    const lows = await read(ListOffsetTimestamps.EARLIEST);
    const highs = await read(ListOffsetTimestamps.LATEST);
    const found = await read(BigInt(since.getTime()));
    return highs.map((end, partition) => {
      const [low, high] = [Number(lows[partition] ?? 0n), Number(end)];
      const first = Number(found[partition] ?? -1n);
      // Kafka says -1 when all records are older.
      const from = first < 0 ? high : Math.max(first, low);
      return { ...identityOf(topic), partition, low, high, since: from };
    });
  });

const logsOf = (client: ReadingClient, asked: readonly AskedLog[]): Promise<PartitionLog[]> => {
  const topics = [...new Set(asked.map((one) => one.topic))];
  return ofOneLog(client, topics, async (identityOf, metadata) => {
    const byTopic = [...Map.groupBy(asked, (one) => one.topic)];
    const partitions = Object.fromEntries(
      byTopic.map(([topic, ofTopic]) => [topic, ofTopic.map((one) => one.partition)]),
    );
    const [lows, highs, ends] = await Promise.all([
      askOffsets(client, { topics, partitions, timestamp: ListOffsetTimestamps.EARLIEST }),
      askOffsets(client, { topics, partitions, timestamp: ListOffsetTimestamps.LATEST }),
      epochEnds(client, metadata, asked),
    ]);
    return asked.map(({ topic, partition }) => {
      const [low, high] = [lows.get(topic)?.[partition], highs.get(topic)?.[partition]];
      if (low === undefined || high === undefined) {
        throw fault("unavailable", `Nothing is known of ${topic}/${partition}`);
      }
      const epochEnd = ends.get(`${topic}/${partition}`) ?? null;
      const at = { topic, partition, ...identityOf(topic) };
      return { ...at, low: Number(low), high: Number(high), epochEnd };
    });
  });
};

type IdentityOf = (topic: string) => LogIdentity;

/** Throws `unavailable` when a topic was made anew while it was asked about. */
const ofOneLog = async <T>(
  client: OffsetsClient,
  topics: readonly string[],
  read: (identityOf: IdentityOf, metadata: ClusterMetadata) => Promise<T>,
): Promise<T> => {
  const metadata = await freshMetadata(client, topics);
  const idsOf = (found: ClusterMetadata) => topics.map((topic) => found.topics.get(topic)?.id);
  const identityOf = (topic: string): LogIdentity => {
    const topicId = metadata.topics.get(topic)?.id;
    if (!topicId) throw fault("topic_unknown", `The cluster has no topic ${topic}.`);
    return { clusterId: metadata.id, topicId };
  };
  const answer = await read(identityOf, metadata);
  const after = await freshMetadata(client, topics);
  if (after.id === metadata.id && String(idsOf(after)) === String(idsOf(metadata))) return answer;
  throw fault("unavailable", `A topic was made anew just now: ${topics.join(", ")}`);
};

/** Throws `topic_unknown`. */
const freshMetadata = (client: OffsetsClient, topics: readonly string[]) =>
  client.metadata({ topics: [...topics], forceUpdate: true }).catch((error: unknown) => {
    if (!saysUnknownTopic(error)) throw error;
    throw fault("topic_unknown", `The cluster lacks one of the topics ${topics.join(", ")}.`);
  });

/**
 * By topic and partition, where an epoch's records end by the word of today's leader (KIP-320).
 * What it does not know is left out.
 */
const epochEnds = async (
  client: ReadingClient,
  { topics, brokers }: ClusterMetadata,
  asked: readonly AskedLog[],
): Promise<ReadonlyMap<string, number>> => {
  const ends = new Map<string, number>();
  const known = asked.filter((one) => one.leaderEpoch !== null);
  const leaderOf = ({ topic, partition }: AskedLog) =>
    topics.get(topic)?.partitions[partition]?.leader ?? -1;
  for (const [leader, ofLeader] of Map.groupBy(known, leaderOf)) {
    const broker = brokers.get(leader);
    if (!broker) throw fault("unavailable", "A partition has no leader");
    for (const { topic, partition, offset } of await client.epochEnds(broker, ofLeader)) {
      if (offset >= 0) ends.set(`${topic}/${partition}`, offset);
    }
  }
  return ends;
};
