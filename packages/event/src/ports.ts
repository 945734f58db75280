/** What the outbox and the inbox ask of a broker client. Adapters see this package only. */

import type { Envelope } from "./envelope.ts";

/** How to reach Kafka; the same words as the Java clients' settings. */
export type KafkaConnection = Readonly<{
  /** Comma-separated host:port pairs. */
  bootstrapServers: string;
  sasl?: Readonly<{
    mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
    username: string;
    password: string;
  }>;
  /** Present: TLS is used. `caPath` is a PEM file; absent: the system's authorities. */
  tls?: Readonly<{ caPath?: string; certificatePath?: string; keyPath?: string }>;
}>;

/**
 * One record header: an object with exactly one key. This is the shape that the librdkafka binding
 * takes and gives; a constant header is built once and used for every record.
 */
export type Header = Readonly<Record<string, Uint8Array>>;

/**
 * A record's time is when it is published, or the broker's own: retention deletes by it, and the
 * broker refuses what lies ahead. When an event occurred stands in its headers.
 */
export type PublishRecord = Readonly<{
  topic: string;
  key: Uint8Array;
  value: Uint8Array;
  /** Each an object with exactly one key, like `Header`; text is sent as UTF-8. */
  headers: readonly Readonly<Record<string, Uint8Array | string>>[];
}>;

/** A record that is no event of an app's, such as a copy of one that was given up. */
export type RawRecord = Readonly<{
  topic: string;
  key: Uint8Array;
  value: Uint8Array;
  /** In order; text is sent as UTF-8. */
  headers: readonly (readonly [name: string, value: string | Uint8Array])[];
}>;

/** What a refusal says is wrong: one record, its topic, or nothing that reading again changes. */
export type RefusalScope = "record" | "topic" | "producer";

/** Why a publisher is of no use any more: the private details of its Fault `publish_failed`. */
export type Refusal = Readonly<{
  scope: RefusalScope;
  /** The broker's or the client's own word, such as MSG_SIZE_TOO_LARGE. */
  reason: string;
  /** Of the refused record; absent where no record was refused. */
  topic?: string;
}>;

/** Records on their way. */
export type Delivery = Readonly<{
  /**
   * Resolves when every record is acknowledged, in order and without a gap. Rejects with
   * `publish_failed`, whose details are a `Refusal`, as soon as any record of the publisher is
   * refused, also one of another delivery.
   */
  done: Promise<void>;
  /** The first refused record is one of these. */
  isRefused(): boolean;
}>;

/** A producer that belongs to one shard and dies with its first failure. */
export type Publisher = Readonly<{
  /**
   * Sends records of one topic in their order; a topic has one delivery in flight. After a failure
   * the publisher is of no use, and which records are in Kafka is unknown.
   */
  publish(batch: readonly PublishRecord[]): Delivery;
  close(): Promise<void>;
}>;

export type OpenPublisher = (shard: number) => Promise<Publisher>;

export type TopicPartition = Readonly<{ topic: string; partition: number }>;

/** `offset` is the next one to read. */
export type Position = TopicPartition & Readonly<{ offset: number }>;

export type AssignedPartition = TopicPartition &
  /** Offsets the broker holds now: `low` is the first, `high` one past the last. */
  Readonly<{ low: number; high: number }>;

/** Which log offsets count in. A topic that is deleted and made anew has another id. */
export type LogIdentity = Readonly<{ clusterId: string; topicId: string }>;

/** A partition that is asked about, and the leader epoch of the last record that was read of it. */
export type AskedLog = TopicPartition & Readonly<{ leaderEpoch: number | null }>;

/** What the brokers hold of a partition now; all of it is of the same log. */
export type PartitionLog = AssignedPartition &
  LogIdentity &
  Readonly<{
    /** Where the records of the asked leader epoch, and of those before it, end; null: unknown. */
    epochEnd: number | null;
  }>;

/**
 * One answer for each partition, in their order. Throws `topic_unknown` where a topic is not there,
 * and `unavailable` when the brokers do not answer in time.
 */
export type ReadLogs = (asked: readonly AskedLog[]) => Promise<readonly PartitionLog[]>;

export type KafkaRecord = TopicPartition &
  Readonly<{
    offset: number;
    /** Under which leader the record was written, where the client says it. */
    leaderEpoch?: number;
    /** When it was published, in milliseconds since 1970. */
    timestampMs: number;
    key: Uint8Array | null;
    value: Uint8Array | null;
    headers: readonly Header[];
  }>;

export type SubscriberEvents = Readonly<{
  /** Says where to start each partition. Nothing is delivered before it resolves. */
  onAssign(partitions: readonly AssignedPartition[]): Promise<readonly Position[]>;
  /** Drains these partitions; they are given back when it resolves. `lost`: already gone. */
  onRevoke(partitions: readonly TopicPartition[], lost: boolean): Promise<void>;
  onRecords(records: readonly KafkaRecord[]): void;
  /** The consumer failed and is being rebuilt; it says so, it does not ask. */
  onError(error: unknown): void;
}>;

/** Signs of life, in milliseconds that the process has had: while it is stopped none pass. */
export type SubscriberVitals = Readonly<{
  /** How long the longest call into the client has been out. A slow handler keeps none waiting. */
  callMs: number;
  /** How long no broker has answered. */
  silenceMs: number;
  /** The partitions of its topics, as the cluster has told them last. */
  partitions: readonly TopicPartition[];
}>;

/** A consumer in a group that commits nothing by itself. */
export type Subscriber = Readonly<{
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** Copies positions to the group's offsets in Kafka, for lag tools; never throws. */
  commit(positions: readonly Position[]): Promise<void>;
  /** True while the client polls; whether a broker answers is for a probe to say. */
  isHealthy(): boolean;
  vitals(): SubscriberVitals;
  /** Drains what is assigned, leaves the group and joins it again: all starts are asked anew. */
  rejoin(): void;
  /** Drains what is assigned through `onRevoke`, then leaves the group. */
  close(): Promise<void>;
}>;

export type Subscribe = (
  group: string,
  topics: readonly string[],
  events: SubscriberEvents,
) => Subscriber;

/** Buffers events of the unit of work at hand; they are written when it commits. */
export type Emit = (...events: readonly [Envelope, ...Envelope[]]) => void;

/** The part of a pino logger that the packages use. */
export type Log = Readonly<{
  /** A log whose every line carries these fields. */
  child(fields: object): Log;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}>;
