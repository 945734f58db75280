/** A Kafka topic as its app declares it. The catalogue is the only place that names settings. */

import { fault } from "./fault.ts";

const compressions = ["none", "gzip", "snappy", "lz4", "zstd"] as const;

/** `production` expects three brokers, `dev` one. */
export type Profile = "production" | "dev";

export type TopicSpec = Readonly<{
  name: string;
  /** Fixed for ever on a keyed topic: another count moves keys to other partitions. */
  partitions: number;
  retentionMs: number;
  compression: (typeof compressions)[number];
  cleanup: "delete" | "compact";
  replication: Readonly<Record<Profile, number>>;
  minInSyncReplicas: Readonly<Record<Profile, number>>;
  /** Largest record the topic takes: key, value and headers, before compression. */
  maxMessageBytes: number;
}>;

const dayMs = 24 * 60 * 60 * 1000;

/**
 * Kafka's own default. Its limit is for a whole batch, and producers fill batches up to a million
 * bytes: under a lower limit records that are small enough one by one would be refused together.
 */
const messageBytesMin = 1_048_588;

const defaults = {
  partitions: 12,
  retentionMs: 7 * dayMs,
  compression: "lz4",
  cleanup: "delete",
  replication: { production: 3, dev: 1 },
  minInSyncReplicas: { production: 2, dev: 1 },
  maxMessageBytes: messageBytesMin,
} as const;

// Kafka's own rule for topic names; "." and "_" collide in its metric names, which is its affair.
const legalName = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;

/**
 * A topic with defaults filled in. Throws `topic_unknown` when Kafka would refuse the name, when
 * `maxMessageBytes` is lower than a batch, and when the topic is compacted: a relay that pauses
 * and wakes up may append an old value after a new one, which only exactly-once publishing
 * prevents.
 */
export const defineTopic = (
  spec: Readonly<{ name: string }> & Partial<Omit<TopicSpec, "name">>,
): TopicSpec => {
  if (!legalName.test(spec.name)) {
    throw fault("topic_unknown", `"${spec.name}" is not a legal Kafka topic name`);
  }
  if (spec.cleanup === "compact") {
    throw fault("topic_unknown", `${spec.name}: a compacted topic needs exactly-once publishing`);
  }
  if (spec.maxMessageBytes !== undefined && spec.maxMessageBytes < messageBytesMin) {
    throw fault("topic_unknown", `${spec.name}: maxMessageBytes is below ${messageBytesMin}`);
  }
  return Object.freeze({ ...defaults, ...spec });
};

/** Where records go that handlers of this topic have given up. */
export const deadLetterTopicName = (topic: string): string => `${topic}.dlq`;

/** Room for the headers that say why. */
const reasonBytesMax = 64 * 1024;
const deadLetterRetentionMs = 30 * dayMs;

/** The topic for what handlers of `topic` give up: kept longer, and with room for the reason. */
export const deadLetterTopic = (topic: TopicSpec): TopicSpec =>
  defineTopic({
    ...topic,
    name: deadLetterTopicName(topic.name),
    retentionMs: Math.max(topic.retentionMs, deadLetterRetentionMs),
    maxMessageBytes: topic.maxMessageBytes + reasonBytesMax,
  });
