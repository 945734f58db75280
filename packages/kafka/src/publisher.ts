/**
 * A publisher over librdkafka's producer: acks=all, idempotent, and gapless, which means that a
 * refused record stops everything behind it instead of letting it overtake. The first failure
 * makes a publisher useless for good: whoever owns it opens another and reads its batch again.
 */

import { setTimeout as delay } from "node:timers/promises";
import kafka from "@confluentinc/kafka-javascript";
import type { LibrdKafkaError, MessageHeader } from "@confluentinc/kafka-javascript";
import { fault } from "@outrider/event";
import type { Fault, KafkaConnection, Log, OpenPublisher, Publisher } from "@outrider/event";
import type { PublishRecord } from "@outrider/event";
import { clientConfig, logEvent } from "./client-config.ts";
import { refusalOf } from "./delivery-report.ts";
import type { DeliveryError, DeliveryReport } from "./delivery-report.ts";

export type PublisherSettings = Readonly<{
  clientId: string;
  /** How long a batch may wait for more records before it is sent. */
  lingerMs?: number;
  compression?: "none" | "gzip" | "snappy" | "lz4" | "zstd";
  /** How long to wait for the first answer of a broker. */
  connectTimeoutMs?: number;
  /** How long to wait for a full local queue to drain before trying again. */
  queueFullRetryMs?: number;
  /** How long a topic may be unknown to the cluster before a record for it fails. */
  unknownTopicMs?: number;
  /** How long closing may take. */
  closeTimeoutMs?: number;
}>;

const defaults = {
  lingerMs: 0,
  compression: "lz4",
  // Closing waits for a connect that is under way.
  connectTimeoutMs: 3000,
  queueFullRetryMs: 5,
  unknownTopicMs: 5000,
  closeTimeoutMs: 1000,
} as const;

const { Producer, CODES } = kafka;

/** Per shard a producer of its own, so that a failure in one shard stops no other. */
export const createOpenPublisher = (
  connection: KafkaConnection,
  log: Log,
  settings: PublisherSettings,
): OpenPublisher => {
  const { clientId, ...chosen } = settings;
  const limits = { ...defaults, ...chosen };
  return async (shard) => {
    const producer = new Producer({
      ...clientConfig(connection, `${clientId}-${shard}`),
      acks: -1,
      "enable.idempotence": true,
      "enable.gapless.guarantee": true,
      // A broker takes any sequence as a producer's first. With more in flight, a first batch that
      // it refuses (it is not the leader yet) is overtaken by the second, and then reported as
      // delivered without being in the log: measured, docs/design.md.
      "max.in.flight.requests.per.connection": 1,
      // Never give up by itself: a record that is given up is a gap.
      "message.timeout.ms": 0,
      // How large a record may be is the topic's affair, and the outbox has asked it.
      "message.max.bytes": 1_000_000_000,
      "topic.metadata.propagation.max.ms": limits.unknownTopicMs,
      // The Java clients' partitioning, so that all languages agree where a key lives.
      partitioner: "murmur2_random",
      "compression.codec": limits.compression,
      "linger.ms": limits.lingerMs,
      dr_cb: true,
    });
    producer.on("event.log", logEvent(log));
    await connectProducer(producer, limits.connectTimeoutMs);
    producer.setPollInBackground(true);
    return createPublisher(producer, limits);
  };
};

type Client = InstanceType<typeof Producer>;
type Limits = Required<Omit<PublisherSettings, "clientId">>;
/** A batch in flight. */
type Pending = { missing: number; resolve(): void; reject(error: Fault): void };

const createPublisher = (producer: Client, limits: Limits): Publisher => {
  let failure: Fault | undefined;
  let pending: Pending | undefined;

  const fail = (error: DeliveryError, what: string): Fault => {
    failure ??= fault("publish_failed", `Kafka refused ${what}: ${error.message}`, {
      details: { kafkaCode: error.code },
      cause: error,
    });
    pending?.reject(failure);
    return failure;
  };

  producer.on("delivery-report", (error: LibrdKafkaError | null, report: DeliveryReport) => {
    const refusal = refusalOf(error, report);
    if (refusal) fail(refusal, "a record");
    else if (pending && --pending.missing === 0) pending.resolve();
  });
  producer.on("event.error", (error: LibrdKafkaError) => {
    // Others, such as a lost connection, are librdkafka's to mend.
    if (isFatal(error)) fail(error, "this producer");
  });

  /** False when librdkafka's queue is full. */
  const offer = (record: PublishRecord): boolean => {
    if (failure) throw failure;
    const error = tryProduce(producer, record);
    if (error && error.code !== CODES.ERRORS.ERR__QUEUE_FULL) throw fail(error, "a record");
    return !error;
  };

  const publish = async (batch: readonly PublishRecord[]): Promise<void> => {
    if (failure) throw failure;
    if (pending) throw fault("internal", "A publisher has one batch in flight");
    if (batch.length === 0) return;
    try {
      const acknowledged = new Promise<void>((resolve, reject) => {
        pending = { missing: batch.length, resolve, reject };
      });
      // It may fail while the batch is still being enqueued.
      acknowledged.catch(() => {});
      for (const record of batch) {
        while (!offer(record)) await delay(limits.queueFullRetryMs);
      }
      await acknowledged;
    } finally {
      pending = undefined;
    }
  };

  const shut = (): Promise<void> => {
    failure ??= fault("publish_failed", "The publisher was closed");
    pending?.reject(failure);
    return disconnect(producer, limits.closeTimeoutMs);
  };

  // The client forgets the callback of a second disconnect.
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= shut());

  return { publish, close };
};

/** `produce` throws; an error of librdkafka has a code. */
const tryProduce = (producer: Client, record: PublishRecord): LibrdKafkaError | undefined => {
  const { topic, value, key, timestampMs, headers } = record;
  try {
    producer.produce(
      topic,
      null,
      value as Buffer,
      key as Buffer,
      timestampMs,
      undefined,
      headers as MessageHeader[],
    );
    return undefined;
  } catch (error) {
    return error as LibrdKafkaError;
  }
};

const isFatal = (error: LibrdKafkaError): boolean =>
  error.isFatal === true || error.code === CODES.ERRORS.ERR__FATAL;

const connectProducer = (producer: Client, timeoutMs: number): Promise<void> =>
  new Promise((resolve, reject) => {
    producer.connect({ timeout: timeoutMs }, (error: LibrdKafkaError | null) => {
      if (!error) return resolve();
      reject(fault("unavailable", `Kafka does not answer: ${error.message}`, { cause: error }));
    });
  });

const disconnect = (producer: Client, timeoutMs: number): Promise<void> =>
  new Promise((resolve) => {
    producer.disconnect(timeoutMs, () => resolve());
  });
