/** Where a partition starts, from what Postgres and Kafka know of it. */

import type { LogIdentity, PartitionLog } from "@outrider/event";

/** Where a group goes on, and the log that the number counts in. */
export type StoredMark = Readonly<{
  next: number;
  /** Null: written by a version that did not know it. */
  log: LogIdentity | null;
  /** Of the last record below `next`; null: not known. */
  leaderEpoch: number | null;
  /** Why nothing is read until an operator decides; null: it is read. */
  haltReason: string | null;
}>;

export type Start =
  | Readonly<{ kind: "from"; offset: number }>
  /** Kafka has deleted records that the group has not read: it goes on with what is left. */
  | Readonly<{ kind: "gap"; offset: number; missing: number }>
  /** This is not the log that the watermark was written for, or not all of it. */
  | Readonly<{ kind: "halted"; reason: string }>;

/** A group without a watermark starts at the beginning. A halt lasts, whatever the numbers say. */
export const startOffset = (log: PartitionLog, mark: StoredMark | undefined): Start => {
  if (mark === undefined) return { kind: "from", offset: log.low };
  const reason = mark.haltReason ?? strangenessOf(log, mark);
  if (reason !== undefined) return { kind: "halted", reason };
  const { next } = mark;
  if (next < log.low) return { kind: "gap", offset: log.low, missing: log.low - next };
  return { kind: "from", offset: next };
};

/** Why the number cannot be one of this log. */
const strangenessOf = (log: PartitionLog, mark: StoredMark): string | undefined => {
  const { next, log: own } = mark;
  if (own && own.clusterId !== log.clusterId) {
    return `this is cluster ${log.clusterId}, and the watermark is of cluster ${own.clusterId}`;
  }
  if (own && own.topicId !== log.topicId) {
    return `the topic has been made anew: its id is ${log.topicId}, and was ${own.topicId}`;
  }
  if (next > log.high) return `the log ends at ${log.high}, below the watermark ${next}`;
  if (log.epochEnd !== null && log.epochEnd < next) {
    return `an unclean election has cut the log at ${log.epochEnd}, below the watermark ${next}`;
  }
  return undefined;
};
