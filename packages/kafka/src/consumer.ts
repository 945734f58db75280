/**
 * One incarnation of a consumer, from connect to disconnect. It never mends itself: `run` rejects
 * when it is broken, and the subscriber builds another one.
 */

import type { LibrdKafkaError } from "@confluentinc/kafka-javascript";
import { fault } from "@outrider/event";
import type { Position, SubscriberEvents, TopicPartition } from "@outrider/event";
import { connectConsumer, disconnectConsumer, fetchRecords } from "./rd-consumer.ts";
import { kafkaCodes, queryOffsets } from "./rd-consumer.ts";
import type { OnRebalance, RdConsumer } from "./rd-consumer.ts";

export type ConsumerParts = Readonly<{
  create(onRebalance: OnRebalance): RdConsumer;
  topics: readonly string[];
  events: SubscriberEvents;
  limits: Readonly<{ fetchMax: number; fetchWaitMs: number; connectTimeoutMs: number }>;
}>;

export type Consumer = Readonly<{
  client: RdConsumer;
  /** Resolves when it is closed, rejects when the client is broken. */
  run(): Promise<void>;
  /** Drains and leaves the group. */
  close(): Promise<void>;
}>;

export const openConsumer = ({ create, topics, events, limits }: ConsumerParts): Consumer => {
  let assigned: readonly TopicPartition[] = [];
  let broken: unknown;
  let isOpen = true;
  // Rebalances come one at a time; closing waits for the one at hand.
  let rebalance: Promise<void> = Promise.resolve();
  let finished: Promise<void> = Promise.resolve();

  const client = create((error, partitions) => {
    if (!isOpen) return answerClosing(client);
    rebalance = rebalanced(error?.code, partitions).catch((cause: unknown) => {
      broken ??= cause;
    });
    return rebalance;
  });

  const rebalanced = async (code: number | undefined, partitions: TopicPartition[]) => {
    if (code === kafkaCodes.ERR__ASSIGN_PARTITIONS) return assign(partitions);
    if (code === kafkaCodes.ERR__REVOKE_PARTITIONS) return revoke(partitions);
    throw fault("unavailable", "The consumer group could not rebalance", { details: { code } });
  };

  const assign = async (partitions: readonly TopicPartition[]): Promise<void> => {
    const offered = await Promise.all(
      partitions.map((partition) => queryOffsets(client, partition, limits.connectTimeoutMs)),
    );
    const starts = await events.onAssign(offered);
    assigned = [...assigned, ...partitions];
    if (client.rebalanceProtocol() === "COOPERATIVE") client.incrementalAssign(starts);
    else client.assign(starts);
  };

  const revoke = async (partitions: readonly TopicPartition[]): Promise<void> => {
    await events.onRevoke(partitions, client.assignmentLost());
    assigned = assigned.filter((one) => !partitions.some((gone) => isSame(one, gone)));
    if (client.rebalanceProtocol() === "COOPERATIVE") client.incrementalUnassign(partitions);
    else client.unassign();
  };

  const isNews = createNews();

  const consume = async (): Promise<void> => {
    client.on("event.error", (error: LibrdKafkaError) => {
      if (error.code === kafkaCodes.ERR__FATAL) broken ??= error;
      else if (isNews(error.code)) events.onError(error);
    });
    await connectConsumer(client, limits.connectTimeoutMs);
    client.setDefaultConsumeTimeout(limits.fetchWaitMs);
    client.setDefaultIsTimeoutOnlyForFirstMessage(true);
    client.subscribe([...topics]);
    while (isOpen) {
      if (broken) throw broken;
      const records = await fetchRecords(client, limits.fetchMax);
      if (isOpen && records.length > 0) events.onRecords(records);
    }
  };

  const run = (): Promise<void> => {
    const running = consume();
    finished = running.catch(() => {});
    return running;
  };

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= shut());

  const shut = async (): Promise<void> => {
    const isLost = broken !== undefined;
    isOpen = false;
    await rebalance;
    await finished;
    // Before the disconnect: during it, commits fail.
    if (assigned.length > 0) await events.onRevoke(assigned, isLost);
    assigned = [];
    await disconnectConsumer(client);
  };

  return { client, run, close };
};

/**
 * The disconnect revokes what is assigned and waits for an answer, for ever if need be. What was
 * assigned has been drained by then.
 */
const answerClosing = async (client: RdConsumer): Promise<void> => {
  try {
    client.unassign();
  } catch {
    // It was disconnected before the answer.
  }
};

/** The group's offsets are for lag tools only: a commit that fails is made up for by the next. */
export const commitPositions = (client: RdConsumer, positions: readonly Position[]): void => {
  try {
    if (client.isConnected()) client.commit(positions);
  } catch {
    // A rebalance or a disconnect came first.
  }
};

/** An outage makes librdkafka repeat itself dozens of times a second: each code now and then. */
const repeatAfterMs = 10_000;

const createNews = (): ((code: number) => boolean) => {
  const saidMs = new Map<number, number>();
  return (code) => {
    const nowMs = performance.now();
    const isOld = nowMs - (saidMs.get(code) ?? Number.NEGATIVE_INFINITY) < repeatAfterMs;
    if (!isOld) saidMs.set(code, nowMs);
    return !isOld;
  };
};

const isSame = (one: TopicPartition, other: TopicPartition): boolean =>
  one.topic === other.topic && one.partition === other.partition;
