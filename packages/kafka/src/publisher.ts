/**
 * A publisher over librdkafka's producer: acks=all, idempotent, and gapless, which means that a
 * refused record stops everything behind it instead of letting it overtake. The first failure
 * makes a publisher useless for good: whoever owns it opens another and reads its batch again.
 */

import { setTimeout as delay } from "node:timers/promises";
import kafka from "@confluentinc/kafka-javascript";
import type { LibrdKafkaError, MessageHeader } from "@confluentinc/kafka-javascript";
import { fault } from "@outrider/event";
import type { Delivery, KafkaConnection, Log, OpenPublisher, Publisher } from "@outrider/event";
import type { PublishRecord } from "@outrider/event";
import { clientConfig, logEvent } from "./client-config.ts";
import { refusalOf } from "./delivery-report.ts";
import type { DeliveryReport } from "./delivery-report.ts";
import { createFlights } from "./flights.ts";
import type { Flight } from "./flights.ts";
import { createOpenings } from "./openings.ts";

export type PublisherSettings = Readonly<{
  clientId: string;
  /** How long a batch may wait for more records before it is sent. */
  lingerMs?: number;
  compression?: "none" | "gzip" | "snappy" | "lz4" | "zstd";
  /** How long to wait for the first answer of a broker. */
  connectTimeoutMs?: number;
  /** How long to wait for a full local queue to drain before trying again. */
  queueFullRetryMs?: number;
  /** How long to wait before the cluster is asked again how many partitions a topic has. */
  metadataRetryMs?: number;
  /** How long a topic whose partitions nobody knows is asked about again. */
  unknownPartitionsMs?: number;
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
  metadataRetryMs: 100,
  unknownPartitionsMs: 500,
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

const createPublisher = (producer: Client, limits: Limits): Publisher => {
  const flights = createFlights();
  const isOver = () => flights.failure() !== undefined;
  const openings = createOpenings((topic) =>
    countPartitions(producer, topic, { ...limits, isOver }),
  );

  producer.on("delivery-report", (error: LibrdKafkaError | null, report: DeliveryReport) => {
    const refusal = refusalOf(error, report);
    if (refusal) flights.refuse(refusal, report.topic);
    else flights.acknowledge(report.topic ?? "");
  });
  producer.on("event.error", (error: LibrdKafkaError) => {
    // Others, such as a lost connection, are librdkafka's to mend. A refused record has its own
    // report, which says more than the fatal error that gapless mode makes of it.
    if (isFatal(error)) flights.refuse(error);
  });

  const enqueue = async ({ topic, records }: Flight, indexes: Iterable<number>): Promise<void> => {
    for (const index of indexes) {
      const record = records[index] as PublishRecord;
      let error: LibrdKafkaError | undefined;
      while (!flights.failure() && (error = tryProduce(producer, record))) {
        if (error.code !== CODES.ERRORS.ERR__QUEUE_FULL) return flights.refuse(error, topic);
        await delay(limits.queueFullRetryMs);
      }
    }
  };

  /** Resolves when so many records are acknowledged, or the delivery has failed. */
  const acknowledged = (flight: Flight, count: number): Promise<void> =>
    new Promise((resolve) => {
      flight.onAck = () => {
        if (flight.records.length - flight.missing >= count) resolve();
      };
      flight.done.then(resolve, () => resolve());
    });

  const send = async (flight: Flight): Promise<void> => {
    const { topic, records } = flight;
    if (openings.isOpen(topic)) return enqueue(flight, records.keys());
    const { first, rest } = await openings.split(topic, records);
    if (first.length > 0) {
      const opened = acknowledged(flight, first.length);
      await enqueue(flight, first);
      await opened;
      delete flight.onAck;
      openings.opened(
        topic,
        first.map((index) => records[index] as PublishRecord),
      );
    }
    await enqueue(flight, rest);
  };

  const publish = (records: readonly PublishRecord[]): Delivery => {
    const flight = flights.begin(records);
    if (records.length > 0 && !flights.failure()) void send(flight);
    return { done: flight.done, isRefused: () => flight.isRefused };
  };

  const shut = (): Promise<void> => {
    flights.end(fault("publish_failed", "The publisher was closed"));
    return disconnect(producer, limits.closeTimeoutMs);
  };

  // The client forgets the callback of a second disconnect.
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= shut());

  return { publish, close };
};

/** `produce` throws; an error of librdkafka has a code. */
const tryProduce = (producer: Client, record: PublishRecord): LibrdKafkaError | undefined => {
  const { topic, value, key, headers } = record;
  try {
    producer.produce(
      topic,
      null,
      value as Buffer,
      key as Buffer,
      // The client takes the time of this call.
      undefined,
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

/**
 * Asks until the cluster tells: a guess would leave partitions unprotected whose first record has
 * not gone alone. One, where the topic stays unknown: its records are refused then.
 */
const countPartitions = async (
  producer: Client,
  topic: string,
  { isOver, ...limits }: Limits & Readonly<{ isOver(): boolean }>,
): Promise<number> => {
  // A broker that has just started may not know of it yet.
  const unknownUntilMs = performance.now() + limits.unknownPartitionsMs;
  while (!isOver()) {
    const count = await askPartitions(producer, topic, limits.connectTimeoutMs);
    if (count !== undefined && count > 0) return count;
    if (count === 0 && performance.now() > unknownUntilMs) return 1;
    await delay(limits.metadataRetryMs);
  }
  return 1;
};

/** Undefined: nobody answers. */
const askPartitions = (
  producer: Client,
  topic: string,
  timeoutMs: number,
): Promise<number | undefined> =>
  new Promise((resolve) => {
    producer.getMetadata({ topic, timeout: timeoutMs }, (error: LibrdKafkaError | null, data) => {
      const found = error ? undefined : data.topics.find((one) => one.name === topic);
      resolve(error ? undefined : (found?.partitions.length ?? 0));
    });
  });

const disconnect = (producer: Client, timeoutMs: number): Promise<void> =>
  new Promise((resolve) => {
    producer.disconnect(timeoutMs, () => resolve());
  });
