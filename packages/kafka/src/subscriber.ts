/**
 * A consumer in a group over librdkafka. It commits nothing by itself: where a partition starts is
 * asked for on every assignment, and a revoked partition is given back only when its owner has
 * drained it. A consumer that breaks is thrown away and built anew, with back-off.
 */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@outrider/event";
import type { Backoff, KafkaConnection, Log, Subscribe, Subscriber } from "@outrider/event";
import type { SubscriberEvents } from "@outrider/event";
import { clientConfig, logEvent } from "./client-config.ts";
import { commitPositions, openConsumer } from "./consumer.ts";
import type { Consumer } from "./consumer.ts";
import { createLivedClock } from "./lived-clock.ts";
import { createRdConsumer } from "./rd-consumer.ts";
import type { OnRebalance } from "./rd-consumer.ts";
import { createVitals } from "./vitals.ts";
import type { Vitals } from "./vitals.ts";

export type SubscriberSettings = Readonly<{
  clientId: string;
  /** `consumer` is KIP-848; brokers before Kafka 4 need `classic`. */
  groupProtocol?: "consumer" | "classic";
  /** How classic groups spread their partitions; all members of a group have to agree. */
  assignmentStrategy?: "range" | "roundrobin" | "cooperative-sticky";
  /** How long a member of a classic group may be unheard of; otherwise the broker decides. */
  sessionTimeoutMs?: number;
  /** Most records taken from the client at once. */
  fetchMax?: number;
  /** How long one fetch waits for a first record. */
  fetchWaitMs?: number;
  /** How long to wait for a broker's first answer, and for a partition's offsets. */
  connectTimeoutMs?: number;
  /** How long a record may be there and not come before the consumer is built anew. */
  stallMs?: number;
  /** How long leaving the group may take, and what is being fetched before it. */
  closeTimeoutMs?: number;
  /** Pauses before a broken consumer is built anew. */
  rebuild?: Backoff;
}>;

const defaults = {
  groupProtocol: "consumer",
  assignmentStrategy: "cooperative-sticky",
  sessionTimeoutMs: 45_000,
  fetchMax: 500,
  fetchWaitMs: 100,
  // Closing waits for a connect that is under way.
  connectTimeoutMs: 3000,
  stallMs: 60_000,
  closeTimeoutMs: 1500,
  rebuild: { baseMs: 200, capMs: 10_000 },
} as const;

type Limits = Required<SubscriberSettings>;

export const createSubscribe = (
  connection: KafkaConnection,
  log: Log,
  settings: SubscriberSettings,
): Subscribe => {
  const limits = { ...defaults, ...settings };
  const { nowMs } = createLivedClock();
  return (group, topics, events) => {
    const config = {
      ...clientConfig(connection, limits.clientId),
      "group.id": group,
      "group.protocol": limits.groupProtocol,
      ...(limits.groupProtocol === "classic" && {
        "partition.assignment.strategy": limits.assignmentStrategy,
        "session.timeout.ms": limits.sessionTimeoutMs,
      }),
      "enable.auto.commit": false,
      "enable.auto.offset.store": false,
      // A start offset out of range is an error to be seen, never a silent jump.
      "auto.offset.reset": "error",
      "isolation.level": "read_committed",
    };
    const create = (onRebalance: OnRebalance) => {
      const client = createRdConsumer(config, onRebalance);
      client.on("event.log", logEvent(log));
      return client;
    };
    const vitals = createVitals(nowMs);
    const kept = { excused: new Map<string, number>(), vitals, nowMs };
    const build = () => openConsumer({ create, topics, events, limits, ...kept });
    return supervise(build, { events, vitals }, limits);
  };
};

type Kept = Readonly<{ events: SubscriberEvents; vitals: Vitals }>;

const supervise = (build: () => Consumer, { events, vitals }: Kept, limits: Limits): Subscriber => {
  let consumer: Consumer | undefined;
  const closing = new AbortController();

  const live = async (): Promise<void> => {
    for (let failures = 0; !closing.signal.aborted; failures += 1) {
      const startedAt = performance.now();
      const current = build();
      consumer = current;
      try {
        await current.run();
        // It was closed from outside, and may still be draining.
        await current.close();
      } catch (error) {
        events.onError(error);
        await current.close();
        if (performance.now() - startedAt > limits.rebuild.capMs) failures = 0;
        // Ends early when the subscriber is closed.
        await delay(backoffMs(failures + 1, limits.rebuild), undefined, closing).catch(() => {});
      }
    }
  };

  const ended = live();
  return {
    pause: (partitions) => consumer?.pause(partitions),
    resume: (partitions) => consumer?.resume(partitions),
    commit: async (positions) => {
      if (consumer) commitPositions(consumer.client, positions);
    },
    isHealthy: () => consumer?.client.isConnected() ?? false,
    vitals: vitals.read,
    rejoin: () => void consumer?.close(),
    close: async () => {
      closing.abort();
      await consumer?.close();
      await ended;
    },
  };
};
