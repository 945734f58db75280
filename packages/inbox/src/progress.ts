/**
 * Writes how far a group's member is, and sees that its logs are still those it has begun. No
 * position is written before a look that came after it was reached: so a watermark never counts
 * records of a log that has taken the place of its own.
 */

import type { Log, ReadLogs, Subscriber } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { Assignment } from "./assignment.ts";
import { lookAtLogs, reachedOf } from "./log-watch.ts";
import type { Look } from "./log-watch.ts";
import { readMarks, writeWatermarks } from "./watermarks.ts";
import type { Reached } from "./watermarks.ts";

type Member = Readonly<{ group: string; logLookMs: number }>;

type ProgressDeps = Readonly<{ sql: Sql; log: Log; readLogs: ReadLogs; subscriber: Subscriber }>;

export type Progress = Readonly<{
  /** Writes what has moved; now and then looks at what has not. */
  tick(assignments: readonly Assignment[]): Promise<void>;
  /** Writes what has moved. A failure costs nothing but reading again what the inbox knows. */
  write(assignments: readonly Assignment[]): Promise<void>;
}>;

export const createProgress = ({ group, logLookMs }: Member, deps: ProgressDeps): Progress => {
  const { sql, log, readLogs, subscriber } = deps;
  let lookedMs = performance.now();

  const save = async ({ certain }: Look): Promise<readonly Reached[]> => {
    const moved = certain.filter(isMoved);
    if (moved.length === 0) return [];
    const refused = await writeWatermarks(
      sql,
      group,
      moved.map((one) => one.reached),
    );
    const written = moved.filter((one) => !refused.includes(one.reached));
    for (const { assignment, reached } of written) assignment.written = reached.offset;
    const positions = written.map(({ assignment, reached }) => {
      return { ...assignment.at, offset: reached.offset };
    });
    await subscriber.commit(positions);
    return refused;
  };

  /** True when somebody has to ask anew where they stand. */
  const advance = async (assignments: readonly Assignment[], isDue: boolean): Promise<boolean> => {
    const readers = reachedOf(assignments);
    // What cannot be known of quiet partitions holds up nothing.
    const quiet = isDue ? readers.filter((one) => !isMoved(one)) : [];
    const [look, besides] = await Promise.all(
      [readers.filter(isMoved), quiet].map((some) => lookAtLogs(some, readLogs)),
    );
    const strange = [look, besides].flatMap((one) => one?.strange ?? []);
    for (const { reached, reason } of strange) {
      log.warn({ group, ...reached, reason }, "the log under a reader is not the one it began");
    }
    try {
      const refused = look ? await save(look) : [];
      if (look && look.failures.length > 0) throw look.failures[0];
      return strange.length > 0 || refused.length > 0;
    } catch (error) {
      log.warn({ group, err: error }, "watermarks could not be written");
      return strange.length > 0;
    }
  };

  /** True when an operator has ended a halt. */
  const isResumed = async (assignments: readonly Assignment[]): Promise<boolean> => {
    const halted = assignments.filter((one) => !one.partition).map((one) => one.at);
    if (halted.length === 0) return false;
    const marks = await readMarks(sql, group, halted).catch(() => undefined);
    if (!marks) return false;
    return marks.filter((one) => one.haltReason !== null).length < halted.length;
  };

  return {
    tick: async (assignments) => {
      const isDue = performance.now() - lookedMs >= logLookMs;
      if (isDue) lookedMs = performance.now();
      const isStrange = await advance(assignments, isDue);
      if (isStrange || (isDue && (await isResumed(assignments)))) subscriber.rejoin();
    },
    write: async (assignments) => void (await advance(assignments, false)),
  };
};

const isMoved = ({ assignment, reached }: Readonly<{ assignment: Assignment; reached: Reached }>) =>
  reached.offset > assignment.written;
