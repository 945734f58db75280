/**
 * One incarnation of a consumer, from connect to disconnect. It never mends itself: `run` rejects
 * when it is broken, and the subscriber builds another one.
 */

import type { LibrdKafkaError } from "@confluentinc/kafka-javascript";
import { fault, within } from "@outrider/event";
import type { AssignedPartition, Position, SubscriberEvents } from "@outrider/event";
import type { TopicPartition } from "@outrider/event";
import { createProgress } from "./progress.ts";
import type { Progress } from "./progress.ts";
import { connectConsumer, disconnectConsumer, fetchRecords } from "./rd-consumer.ts";
import { kafkaCodes, queryOffsets } from "./rd-consumer.ts";
import type { OnRebalance, RdConsumer } from "./rd-consumer.ts";

export type ConsumerParts = Readonly<{
  create(onRebalance: OnRebalance): RdConsumer;
  topics: readonly string[];
  events: SubscriberEvents;
  limits: Readonly<{
    fetchMax: number;
    fetchWaitMs: number;
    connectTimeoutMs: number;
    stallMs: number;
    closeTimeoutMs: number;
  }>;
  /** Outlives the consumer; see `ProgressDeps`. */
  excused: Map<string, number>;
}>;

export type Consumer = Readonly<{
  client: RdConsumer;
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** Resolves when it is closed, rejects when the client is broken. */
  run(): Promise<void>;
  /** Drains and leaves the group. */
  close(): Promise<void>;
}>;

export const openConsumer = (parts: ConsumerParts): Consumer => {
  const { create, topics, events, limits } = parts;
  let assigned: readonly TopicPartition[] = [];
  const breakage = createBreakage();
  let isOpen = true;
  // Rebalances come one at a time; closing waits for the one at hand.
  let rebalance: Promise<void> = Promise.resolve();
  let finished: Promise<void> = Promise.resolve();

  const client = create((error, partitions) => {
    if (!isOpen) return answerClosing(client);
    rebalance = rebalanced(error?.code, partitions).catch(breakage.report);
    return rebalance;
  });
  const query = (at: TopicPartition) => queryOffsets(client, at, limits.connectTimeoutMs);
  const { progress, stopWatch } = startWatch(parts, query, breakage.report);

  const rebalanced = async (code: number | undefined, partitions: TopicPartition[]) => {
    if (code === kafkaCodes.ERR__ASSIGN_PARTITIONS) return assign(partitions);
    if (code === kafkaCodes.ERR__REVOKE_PARTITIONS) return revoke(partitions);
    throw fault("unavailable", "The consumer group could not rebalance", { details: { code } });
  };

  const assign = async (partitions: readonly TopicPartition[]): Promise<void> => {
    const starts = await events.onAssign(await Promise.all(partitions.map(query)));
    assigned = [...assigned, ...partitions];
    progress.assigned(starts);
    if (client.rebalanceProtocol() === "COOPERATIVE") client.incrementalAssign(starts);
    else client.assign(starts);
    // The client remembers what was paused when it was taken away, and says nothing of it.
    client.resume(starts);
  };

  const revoke = async (partitions: readonly TopicPartition[]): Promise<void> => {
    await events.onRevoke(partitions, client.assignmentLost());
    progress.revoked(partitions);
    assigned = assigned.filter((one) => !partitions.some((gone) => isSame(one, gone)));
    if (client.rebalanceProtocol() === "COOPERATIVE") client.incrementalUnassign(partitions);
    else client.unassign();
  };

  const consume = async (): Promise<void> => {
    listen(client, events, breakage.report);
    await connectConsumer(client, limits.connectTimeoutMs);
    client.setDefaultConsumeTimeout(limits.fetchWaitMs);
    client.setDefaultIsTimeoutOnlyForFirstMessage(true);
    client.subscribe([...topics]);
    while (isOpen) {
      const records = await breakage.orElse(fetchRecords(client, limits.fetchMax));
      if (!isOpen || records.length === 0) continue;
      progress.delivered(records);
      events.onRecords(records);
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
    const isLost = breakage.isBroken();
    isOpen = false;
    stopWatch();
    await rebalance;
    // What hangs even now is left behind.
    await within(limits.closeTimeoutMs, finished);
    // Before the disconnect: during it, commits fail.
    if (assigned.length > 0) await events.onRevoke(assigned, isLost);
    assigned = [];
    await within(limits.closeTimeoutMs, disconnectConsumer(client));
  };

  return { client, run, close, ...createFlow(client, progress) };
};

const createFlow = (client: RdConsumer, progress: Progress) => ({
  pause: (partitions: readonly TopicPartition[]): void => {
    progress.paused(partitions);
    client.pause(partitions);
  },
  resume: (partitions: readonly TopicPartition[]): void => {
    progress.resumed(partitions);
    client.resume(partitions);
  },
});

/** The first thing that breaks a consumer ends it, also while it waits for something else. */
const createBreakage = () => {
  let broken: { cause: unknown } | undefined;
  const breaking = Promise.withResolvers<never>();
  // Nobody may be waiting.
  breaking.promise.catch(() => {});
  return {
    isBroken: () => broken !== undefined,
    report: (cause: unknown): void => {
      broken ??= { cause };
      breaking.reject(broken.cause);
    },
    orElse: <T>(work: Promise<T>): Promise<T> => Promise.race([work, breaking.promise]),
  };
};

type Report = (cause: unknown) => void;

const listen = (client: RdConsumer, events: SubscriberEvents, report: Report): void => {
  const isNews = createNews();
  client.on("event.error", (error: LibrdKafkaError) => {
    if (error.code === kafkaCodes.ERR__FATAL) report(error);
    else if (isNews(error.code)) events.onError(error);
  });
};

const watchesPerStall = 4;

const startWatch = (
  { limits, excused }: ConsumerParts,
  query: (at: TopicPartition) => Promise<AssignedPartition>,
  report: Report,
) => {
  const nowMs = () => performance.now();
  const progress = createProgress({ query, stallMs: limits.stallMs, nowMs, excused });
  const look = async (): Promise<void> => {
    const [stalled] = await progress.stalled();
    if (!stalled) return;
    const where = `${stalled.topic}/${stalled.partition}`;
    report(fault("unavailable", `Nothing comes from ${where}, which has records`));
  };
  const watching = setInterval(() => void look(), limits.stallMs / watchesPerStall);
  return { progress, stopWatch: () => clearInterval(watching) };
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
