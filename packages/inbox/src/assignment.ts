/** An assigned partition: where it started, its lanes, and how far its watermark was written. */

import type { KafkaRecord, Log, LogIdentity, Position } from "@outrider/event";
import type { TopicPartition } from "@outrider/event";
import type { Handler } from "./handler.ts";
import { createPartition } from "./partition.ts";
import type { Partition, PartitionDeps } from "./partition.ts";
import type { Found } from "./starts.ts";
import type { Suspected } from "./trial.ts";

export type Assignment = {
  readonly at: TopicPartition;
  /** Where the client starts to read. */
  readonly start: Position;
  /** What its offsets count in. */
  readonly log: LogIdentity;
  /** Absent while halted: nothing of it is handled. */
  readonly partition: Partition | undefined;
  readonly haltReason?: string;
  /** Of this process, in the table of readers. */
  readonly instance: string;
  /** What the client has delivered and the partition has no room for yet, in order. */
  readonly held: KafkaRecord[];
  isPaused: boolean;
  /** The watermark that was written last. */
  written: number;
};

export type AssignmentDeps = Omit<
  PartitionDeps,
  "onResolved" | "onSure" | "suspected" | "isAlone"
> &
  Readonly<{
    group: string;
    instance: string;
    /** Most records that a reader has in flight. */
    admittedMax: number;
    /** Somebody has left the partition without giving it back, and this on record. */
    remains: Pick<Suspected, "fatal" | "marks"> | undefined;
    /** What that reader may have been running is not suspected any more. */
    onSure(): void;
    handlers: readonly Handler[];
    log: Log;
    /** Kafka had deleted `missing` records before they were read. */
    onGap?(partition: TopicPartition, missing: number): void;
    /** Some records of the assignment were resolved. */
    onProgress(assignment: Assignment): void;
  }>;

export const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

export const beginAssignment = (
  { log: offered, mark, start: begin }: Found,
  deps: AssignmentDeps,
): Assignment => {
  const { group, log, instance } = deps;
  const { topic, partition, clusterId, topicId } = offered;
  const at = { topic, partition };
  const fields = { group, ...offered, watermark: mark?.next };
  const own = { instance, log: { clusterId, topicId } };
  if (begin.kind === "halted") {
    const { reason } = begin;
    log.warn({ ...fields, reason }, "a halted partition is not read");
    const start = { ...at, offset: offered.high };
    return { ...beginAt(start), ...own, partition: undefined, haltReason: reason };
  }
  if (begin.kind === "gap") {
    log.error(fields, "Kafka had deleted records before they were read");
    deps.onGap?.(at, begin.missing);
  }
  const start = { ...at, offset: begin.offset };
  const handlers = deps.handlers.filter((handler) => handler.topics.includes(at.topic));
  const onResolved = () => deps.onProgress(assignment);
  const suspected = start.offset < offered.high &&
    deps.remains && { ...deps.remains, count: deps.admittedMax, before: offered.high };
  const leaderEpoch = begin.kind === "from" ? (mark?.leaderEpoch ?? null) : null;
  const reading = createPartition({ ...start, leaderEpoch }, handlers, {
    ...deps,
    ...(suspected && { suspected }),
    isAlone: deps.handlers.length === 1,
    onResolved,
  });
  const assignment: Assignment = { ...beginAt(start), ...own, partition: reading };
  return assignment;
};

const beginAt = (start: Position) => ({
  at: { topic: start.topic, partition: start.partition },
  start,
  held: [],
  isPaused: false,
  written: start.offset,
});
