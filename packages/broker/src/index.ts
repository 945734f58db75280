export type { Deadline } from "./admin.ts";
export { describeCluster } from "./cluster.ts";
export type { Cluster } from "./cluster.ts";
export { readOffsets, readRanges, readTopic } from "./read-topic.ts";
export type { OffsetRange, PartitionOffsets, RangeReading } from "./read-topic.ts";
export type { TopicDifference, TopicPlan } from "./topic-plan.ts";
export { applyTopics, planTopics } from "./topics.ts";
export type { TopicCatalogue } from "./topics.ts";
