/** The librdkafka consumer behind promises, with the methods that its own types leave out. */

import kafka from "@confluentinc/kafka-javascript";
import type { LibrdKafkaError, Message } from "@confluentinc/kafka-javascript";
import type { AssignedPartition, Header, KafkaRecord, TopicPartition } from "@outrider/event";
import type { Position } from "@outrider/event";

export const kafkaCodes = kafka.CODES.ERRORS;

type Done<T> = (error: LibrdKafkaError | null, value: T) => void;

/** The part of the client that we use. */
export type RdConsumer = Readonly<{
  on(event: "event.error", listener: (error: LibrdKafkaError) => void): unknown;
  on(event: "event.log", listener: (event: LogEvent) => void): unknown;
  connect(options: object, done: Done<unknown>): unknown;
  disconnect(done: () => void): unknown;
  subscribe(topics: string[]): unknown;
  consume(count: number, done: Done<Message[]>): unknown;
  pause(partitions: readonly TopicPartition[]): unknown;
  resume(partitions: readonly TopicPartition[]): unknown;
  commit(positions: readonly Position[]): unknown;
  assign(positions: readonly Position[]): unknown;
  unassign(): unknown;
  incrementalAssign(positions: readonly Position[]): unknown;
  incrementalUnassign(partitions: readonly TopicPartition[]): unknown;
  assignmentLost(): boolean;
  rebalanceProtocol(): "COOPERATIVE" | "EAGER" | "NONE";
  isConnected(): boolean;
  setDefaultConsumeTimeout(ms: number): void;
  setDefaultIsTimeoutOnlyForFirstMessage(only: boolean): void;
  getMetadata(options: { topic: string; timeout: number }, done: Done<Metadata>): unknown;
  queryWatermarkOffsets(
    topic: string,
    partition: number,
    timeoutMs: number,
    done: Done<{ lowOffset: number; highOffset: number }>,
  ): unknown;
}>;

type Metadata = Readonly<{
  topics: readonly Readonly<{ name: string; partitions: readonly object[] }>[];
}>;

export type LogEvent = Readonly<{ severity: number; fac: string; message: string }>;

export type OnRebalance = (
  error: { code: number } | undefined,
  partitions: TopicPartition[],
) => Promise<void>;

export const createRdConsumer = (config: object, onRebalance: OnRebalance): RdConsumer =>
  new kafka.KafkaConsumer({
    ...config,
    rebalance_cb: onRebalance,
  } as ConstructorParameters<typeof kafka.KafkaConsumer>[0]) as unknown as RdConsumer;

const promised = <T>(call: (done: Done<T>) => unknown): Promise<T> =>
  new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value)));
  });

export const connectConsumer = (client: RdConsumer, timeoutMs: number): Promise<unknown> =>
  promised((done) => client.connect({ timeout: timeoutMs }, done));

export const disconnectConsumer = (client: RdConsumer): Promise<void> =>
  new Promise((resolve) => client.disconnect(resolve));

/** At most `max` records; empty when none came within the client's consume timeout. */
export const fetchRecords = async (client: RdConsumer, max: number): Promise<KafkaRecord[]> => {
  const messages = await promised<Message[]>((done) => client.consume(max, done));
  return messages.map(recordOf);
};

/** The offsets that the broker holds now. */
export const queryOffsets = async (
  client: RdConsumer,
  { topic, partition }: TopicPartition,
  timeoutMs: number,
): Promise<AssignedPartition> => {
  const { lowOffset, highOffset } = await promised<{ lowOffset: number; highOffset: number }>(
    (done) => client.queryWatermarkOffsets(topic, partition, timeoutMs, done),
  );
  return { topic, partition, low: lowOffset, high: highOffset };
};

/** How many partitions the topic has; none while it is not there. */
export const countPartitions = async (
  client: RdConsumer,
  topic: string,
  timeoutMs: number,
): Promise<number> => {
  const { topics } = await promised<Metadata>((done) =>
    client.getMetadata({ topic, timeout: timeoutMs }, done),
  );
  return topics.find((one) => one.name === topic)?.partitions.length ?? 0;
};

const recordOf = (message: Message): KafkaRecord => ({
  topic: message.topic,
  partition: message.partition,
  offset: message.offset,
  ...(message.leaderEpoch !== undefined && { leaderEpoch: message.leaderEpoch }),
  timestampMs: message.timestamp ?? 0,
  // The client gives keys as bytes, its types allow text.
  key: typeof message.key === "string" ? Buffer.from(message.key) : (message.key ?? null),
  value: message.value,
  headers: ((message.headers ?? []) as Header[]).map(wholeHeader),
});

/**
 * The client assigns a header's value to a property of its name. For `__proto__` that makes the
 * value the object's prototype in place of a property: it is given one here.
 */
const wholeHeader = (header: Header): Header => {
  const prototype: unknown = Object.getPrototypeOf(header);
  return prototype === Object.prototype ? header : { ["__proto__"]: prototype as Uint8Array };
};
