/**
 * Where assigned partitions begin. What Postgres says is read first and what Kafka says after it,
 * so that a log that does not fit is no older than the watermark it is compared with.
 */

import type { Log, PartitionLog, ReadLogs, TopicPartition } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { startOffset } from "./start-offset.ts";
import type { Start } from "./start-offset.ts";
import { readMarks, settleMarks } from "./watermarks.ts";
import type { Finding, MarkAt } from "./watermarks.ts";

export type Found = Readonly<{ log: PartitionLog; mark: MarkAt | undefined; start: Start }>;

export type StartDeps = Readonly<{ sql: Sql; readLogs: ReadLogs; log: Log }>;

/**
 * Halts are stored before anybody hears of them. Undefined when a watermark was changed meanwhile,
 * by an operator or another reader: then it has to be asked again.
 */
export const findStarts = async (
  group: string,
  partitions: readonly TopicPartition[],
  { sql, readLogs, log }: StartDeps,
): Promise<readonly Found[] | undefined> => {
  const marks = await readMarks(sql, group, partitions);
  const markOf = ({ topic, partition }: TopicPartition): MarkAt | undefined =>
    marks.find((mark) => mark.topic === topic && mark.partition === partition);
  const asked = partitions.map((at) => {
    const { topic, partition } = at;
    return { topic, partition, leaderEpoch: markOf(at)?.leaderEpoch ?? null };
  });
  const found = (await readLogs(asked)).map((one): Found => {
    const mark = markOf(one);
    return { log: one, mark, start: startOffset(one, mark) };
  });
  const findings = found.flatMap((one) => findingOf(one) ?? []);
  if (!(await settleMarks(sql, group, findings))) return undefined;
  for (const { mark, halt } of findings) {
    if (halt === undefined) continue;
    const { topic, partition, next: watermark } = mark;
    const fields = { group, topic, partition, watermark, reason: halt };
    log.error(fields, "the watermark does not fit its log; halted until an operator decides");
  }
  return found;
};

/** What is to be stored: a new halt, or the log of a watermark that had none. */
const findingOf = ({ log, mark, start }: Found): Finding | undefined => {
  if (!mark || mark.haltReason !== null) return undefined;
  if (start.kind === "halted") return { mark, log, halt: start.reason };
  return mark.log === null ? { mark, log } : undefined;
};
