/**
 * One incarnation of a consumer, from connect to disconnect. It never mends itself: `run` rejects
 * when it is broken, and the subscriber builds another one.
 */

import { setImmediate as loopTurn, setTimeout as delay } from "node:timers/promises";
import type { LibrdKafkaError } from "@confluentinc/kafka-javascript";
import { fault, within } from "@outrider/event";
import type { AssignedPartition, Position, SubscriberEvents } from "@outrider/event";
import type { TopicPartition } from "@outrider/event";
import { createProgress } from "./progress.ts";
import type { Progress } from "./progress.ts";
import { connectConsumer, countPartitions, disconnectConsumer } from "./rd-consumer.ts";
import { fetchRecords, kafkaCodes, queryOffsets } from "./rd-consumer.ts";
import type { OnRebalance, RdConsumer } from "./rd-consumer.ts";
import { accept, decline, declineLeaving, giveBack } from "./rebalance.ts";
import type { Rebalance } from "./rebalance.ts";
import type { Vitals } from "./vitals.ts";

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
  /** Outlives the consumer, too. */
  vitals: Vitals;
  /** Of a clock that stops with the process. */
  nowMs(): number;
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
  const { create, topics, events, limits, vitals } = parts;
  let assigned: readonly TopicPartition[] = [];
  const breakage = createBreakage();
  let isOpen = true;
  // Rebalances come one at a time; closing waits for the one at hand.
  let rebalance: Promise<void> = Promise.resolve();
  let unanswered: Rebalance | undefined;
  const calls = createCalls(vitals);

  const client = create(async (error, partitions) => {
    if (calls.isLeaving()) return declineLeaving(client);
    unanswered = { code: error?.code, partitions };
    if (isOpen) rebalance = rebalanced(unanswered).catch(breakage.report);
    await rebalance;
  });
  const query = (at: TopicPartition) =>
    vitals.asked(queryOffsets(client, at, limits.connectTimeoutMs));
  const { progress, stopWatch } = startWatch(parts, { client, query }, breakage.report);

  const rebalanced = async ({ code, partitions }: Rebalance): Promise<void> => {
    if (code === kafkaCodes.ERR__ASSIGN_PARTITIONS) await assign(partitions);
    else if (code === kafkaCodes.ERR__REVOKE_PARTITIONS) await revoke(partitions);
    else throw fault("unavailable", "The group could not rebalance", { details: { code } });
    unanswered = undefined;
  };

  const assign = async (partitions: readonly TopicPartition[]): Promise<void> => {
    const starts = await events.onAssign(await Promise.all(partitions.map(query)));
    assigned = [...assigned, ...partitions];
    progress.assigned(starts);
    accept(client, starts);
    // The client remembers what was paused when it was taken away, and says nothing of it.
    client.resume(starts);
  };

  const revoke = async (partitions: readonly TopicPartition[]): Promise<void> => {
    await events.onRevoke(partitions, client.assignmentLost());
    progress.revoked(partitions);
    assigned = assigned.filter((one) => !partitions.some((gone) => isSame(one, gone)));
    giveBack(client, partitions);
  };

  const consume = async (): Promise<void> => {
    listen(client, events, breakage.report);
    await vitals.asked(calls.make(connectConsumer(client, limits.connectTimeoutMs)));
    client.setDefaultConsumeTimeout(limits.fetchWaitMs);
    client.setDefaultIsTimeoutOnlyForFirstMessage(true);
    if (isOpen) client.subscribe([...topics]);
    while (isOpen) {
      const records = await breakage.orElse(calls.make(fetchRecords(client, limits.fetchMax)));
      if (!isOpen || records.length === 0) continue;
      vitals.answered();
      progress.delivered(records);
      events.onRecords(records);
    }
  };

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= shut());

  const shut = async (): Promise<void> => {
    const isLost = breakage.isBroken();
    isOpen = false;
    stopWatch();
    await rebalance;
    await within(limits.closeTimeoutMs, calls.last());
    // Before the disconnect: during it, commits fail.
    if (assigned.length > 0) await events.onRevoke(assigned, isLost);
    assigned = [];
    // What hangs even now is left behind; its call stays out, which the vitals tell.
    const leaving = calls.leave(client, () => unanswered && decline(client, unanswered));
    await within(limits.closeTimeoutMs, leaving.catch(events.onError));
  };

  return { client, run: consume, close, ...createFlow(client, progress) };
};

/** The calls into the client that may be out for long: connects, fetches and the disconnect. */
const createCalls = (vitals: Vitals) => {
  let last: Promise<unknown> = Promise.resolve();
  let isLeaving = false;
  return {
    make: <T>(begun: Promise<T>): Promise<T> => {
      last = begun.catch(() => {});
      return vitals.out(begun);
    },
    /** The one that was made last, whoever still waits for it. */
    last: () => last,
    isLeaving: () => isLeaving,
    leave: async (client: RdConsumer, answer: () => unknown): Promise<void> => {
      await last;
      // What the last fetch has heard of a rebalance comes in the same turn of the loop.
      await loopTurn();
      try {
        answer();
      } finally {
        isLeaving = true;
        await vitals.out(disconnectConsumer(client));
      }
    },
  };
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

type Asked = Readonly<{
  client: RdConsumer;
  query(at: TopicPartition): Promise<AssignedPartition>;
}>;

/** Looks whether all that is there comes, and whether a broker answers. */
const startWatch = (parts: ConsumerParts, { client, query }: Asked, report: Report) => {
  const { limits, excused, nowMs, topics, vitals } = parts;
  const progress = createProgress({ query, stallMs: limits.stallMs, nowMs, excused });
  const stopping = new AbortController();
  const look = async (): Promise<void> => {
    const [stalled] = await progress.stalled();
    if (stalled && !stopping.signal.aborted) {
      const where = `${stalled.topic}/${stalled.partition}`;
      report(fault("unavailable", `Nothing comes from ${where}, which has records`));
    }
    for (const topic of topics) {
      const counting = countPartitions(client, topic, limits.connectTimeoutMs);
      vitals.counted(topic, await vitals.asked(counting));
    }
  };
  const watch = async (): Promise<void> => {
    const options = { signal: stopping.signal, ref: false };
    while (!stopping.signal.aborted) {
      await delay(limits.stallMs / watchesPerStall, undefined, options).catch(() => {});
      // Before it is connected, and while no broker answers, there is nothing to be seen.
      if (client.isConnected()) await look().catch(() => {});
    }
  };
  void watch();
  return { progress, stopWatch: () => stopping.abort() };
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
