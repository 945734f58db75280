/** An assigned partition: where it started, its lanes, and how far its watermark was written. */

import type { AssignedPartition, KafkaRecord, Log, Position } from "@outrider/event";
import type { TopicPartition } from "@outrider/event";
import type { Handler } from "./handler.ts";
import { createPartition } from "./partition.ts";
import type { Partition, PartitionDeps } from "./partition.ts";
import { startOffset } from "./start-offset.ts";
import type { Suspected } from "./trial.ts";

export type Assignment = {
  readonly at: TopicPartition;
  /** Where the client starts to read. */
  readonly start: Position;
  /** Absent while halted: nothing of it is handled. */
  readonly partition: Partition | undefined;
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
  offered: AssignedPartition,
  watermark: number | undefined,
  deps: AssignmentDeps,
): Assignment => {
  const { group, log, instance } = deps;
  const at = { topic: offered.topic, partition: offered.partition };
  const begin = startOffset(offered, watermark);
  if (begin.kind === "beyond") {
    log.error({ group, ...offered, watermark }, "the watermark is beyond the log's end; halted");
    const start = { ...at, offset: offered.high };
    return { ...beginAt(start), instance, partition: undefined };
  }
  if (begin.kind === "gap") {
    log.error({ group, ...offered, watermark }, "Kafka had deleted records before they were read");
    deps.onGap?.(at, begin.missing);
  }
  const start = { ...at, offset: begin.offset };
  const handlers = deps.handlers.filter((handler) => handler.topics.includes(at.topic));
  const onResolved = () => deps.onProgress(assignment);
  const suspected = start.offset < offered.high &&
    deps.remains && { ...deps.remains, count: deps.admittedMax, before: offered.high };
  const partition = createPartition(start, handlers, {
    ...deps,
    ...(suspected && { suspected }),
    isAlone: deps.handlers.length === 1,
    onResolved,
  });
  const assignment: Assignment = { ...beginAt(start), instance, partition };
  return assignment;
};

const beginAt = (start: Position) => ({
  at: { topic: start.topic, partition: start.partition },
  start,
  held: [],
  isPaused: false,
  written: start.offset,
});

/** Those whose position is ahead of what was written, with that position. */
export const movedOf = (assignments: Iterable<Assignment>) =>
  [...assignments].flatMap((assignment) => {
    const position = assignment.partition?.position();
    return position && position.offset > assignment.written ? [{ assignment, position }] : [];
  });
