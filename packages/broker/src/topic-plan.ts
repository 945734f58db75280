/** What a cluster lacks of a topic catalogue: a pure comparison. */

import type { Profile, TopicSpec } from "@outrider/event";

export type TopicState = Readonly<{
  name: string;
  partitions: number;
  replication: number;
  /** Settings that were given to this topic, by Kafka's names. */
  configs: Readonly<Record<string, string | null>>;
}>;

export type TopicDifference = Readonly<{ setting: string; wanted: string; actual: string }>;

export type TopicPlan = Readonly<{
  topic: string;
  /** `differs`: it exists with other settings, and somebody has to decide; nothing is changed. */
  action: "create" | "keep" | "differs";
  differences: readonly TopicDifference[];
}>;

/** The topic's settings under Kafka's names. */
export const topicConfigs = (
  spec: TopicSpec,
  profile: Profile,
): Readonly<Record<string, string>> => ({
  "cleanup.policy": spec.cleanup,
  "compression.type": spec.compression === "none" ? "uncompressed" : spec.compression,
  "max.message.bytes": String(spec.maxMessageBytes),
  // No host's clock decides how long a record is kept, or whether it is taken.
  "message.timestamp.type": "LogAppendTime",
  "min.insync.replicas": String(spec.minInSyncReplicas[profile]),
  "retention.ms": String(spec.retentionMs),
});

/** Compares a declared topic with what the cluster has under its name (undefined: nothing). */
export const planTopic = (
  spec: TopicSpec,
  profile: Profile,
  actual: TopicState | undefined,
): TopicPlan => {
  if (actual === undefined) return { topic: spec.name, action: "create", differences: [] };
  const wanted = {
    partitions: String(spec.partitions),
    "replication factor": String(spec.replication[profile]),
    ...topicConfigs(spec, profile),
  };
  const has: Readonly<Record<string, string | null>> = {
    partitions: String(actual.partitions),
    "replication factor": String(actual.replication),
    ...actual.configs,
  };
  const differences = Object.entries(wanted)
    .map(([setting, value]) => ({ setting, wanted: value, actual: has[setting] ?? "unset" }))
    .filter((difference) => difference.wanted !== difference.actual);
  return { topic: spec.name, action: differences.length > 0 ? "differs" : "keep", differences };
};
