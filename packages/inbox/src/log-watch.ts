/** Whether what is read is still the log that its reader has begun with. */

import type { ReadLogs } from "@outrider/event";
import type { Assignment } from "./assignment.ts";
import { startOffset } from "./start-offset.ts";
import type { Reached } from "./watermarks.ts";

export type AssignmentAt = Readonly<{ assignment: Assignment; reached: Reached }>;

export type Look = Readonly<{
  /** What was reached before the look is of the log that the reader has begun with. */
  certain: readonly AssignmentAt[];
  /** Now there is another log, or less of it than was read. */
  strange: readonly (AssignmentAt & Readonly<{ reason: string }>)[];
  /** Of topics that could not be asked about; nothing is known of their partitions. */
  failures: readonly unknown[];
}>;

/** Where the readers of partitions are. */
export const reachedOf = (assignments: Iterable<Assignment>): AssignmentAt[] =>
  [...assignments].flatMap((assignment) => {
    const position = assignment.partition?.position();
    return position ? [{ assignment, reached: { ...position, ...assignment.log } }] : [];
  });

/** By topic, so that one that is gone does not hide the others. */
export const lookAtLogs = async (
  readers: readonly AssignmentAt[],
  readLogs: ReadLogs,
): Promise<Look> => {
  const byTopic = [...Map.groupBy(readers, ({ reached }) => reached.topic).values()];
  const answers = await Promise.allSettled(
    byTopic.map(async (ofTopic) => {
      const logs = await readLogs(ofTopic.map(({ reached }) => reached));
      return ofTopic.map((one, index) => {
        const log = logs[index];
        if (!log) throw new Error("no answer for a partition");
        const { offset: next, leaderEpoch, clusterId, topicId } = one.reached;
        const mark = { next, leaderEpoch, log: { clusterId, topicId }, haltReason: null };
        const start = startOffset(log, mark);
        return { ...one, reason: start.kind === "halted" ? start.reason : undefined };
      });
    }),
  );
  const looked = answers.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
  return {
    certain: looked.filter((one) => one.reason === undefined),
    strange: looked.flatMap(({ reason, ...one }) =>
      reason === undefined ? [] : { ...one, reason },
    ),
    failures: answers.flatMap((one) => (one.status === "rejected" ? [one.reason] : [])),
  };
};
