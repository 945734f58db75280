/**
 * Reads a topic again for one handler, with a reader of its own: neither the group's watermarks nor
 * its members see anything of it. The inbox decides what is run: under the handler's own name what
 * has no outcome yet, under another name everything.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { Backoff, KafkaRecord, LogIdentity } from "@outrider/event";
import { breakerDefaults, createBreakers } from "../breaker.ts";
import type { Breakers } from "../breaker.ts";
import type { Handler } from "../handler.ts";
import { startRunner } from "../parking/runner.ts";
import type { RunnerDeps } from "../parking/runner.ts";
import { createPartition } from "../partition.ts";
import type { Partition } from "../partition.ts";
import type { Sql } from "@outrider/postgres";
import { repeat } from "../repeat.ts";
import type { Suspected } from "../trial.ts";
import { createMarks, readMarked } from "../trials.ts";
import { createWork } from "../work.ts";
import { isOfLog, readWatermarks } from "./watermarks.ts";

/** What is read of a partition: from `next` up to `until`, which is left out. */
export type ReplayRange = Readonly<{ partition: number; next: number; until: number }>;

export type Replay = Readonly<{
  id: number;
  topic: string;
  /** The name under which the inbox knows the events. */
  ranAs: string;
  ranges: readonly ReplayRange[];
  /** An earlier process may have ended of one of the events. */
  isResumed: boolean;
}>;

export type ReadRanges = (
  reading: Readonly<{
    topic: string;
    /** What the offsets count in: of another log nothing is read. Null: it is not known. */
    log: LogIdentity | null;
    ranges: readonly Readonly<{ partition: number; from: number; to: number }>[];
    onRecords(records: readonly KafkaRecord[], partition: number): Promise<void>;
    signal: AbortSignal;
  }>,
) => Promise<void>;

export type ReplayDeps = Omit<RunnerDeps, "breakers"> &
  Readonly<{
    readRanges: ReadRanges;
    /** It stops, and may be resumed. */
    signal: AbortSignal;
  }>;

/** Most records of a partition that are admitted and unresolved, as a worker has it. */
const admittedMax = 1000;
/** How often it is written how far it is, and looked whether it is cancelled. */
const progressMs = 1000;
const pollMs = 100;
const retry: Backoff = { baseMs: 100, capMs: 10_000 };
const runnerLimits = {
  ...{ parkedPollMs: 200, freshPollMs: 1000, parkedKeysMax: 8 },
  ...{ claimMs: 5000, transientMaxAgeMs: 86_400_000 },
} as const;
/** How long a stop waits for handlers before it aborts them. */
const drainMs = 4000;

/**
 * Until everything has an outcome, or it was told to stop. Throws what reading the topic throws;
 * then it may be resumed, too. Throws `conflict` when what the group has read is halted, or not
 * there any more.
 */
export const runReplay = async (
  handler: Handler,
  replay: Replay,
  deps: ReplayDeps,
): Promise<"done" | "stopped"> => {
  const { sql, log } = deps;
  const ofLog = await findLog(deps, replay);
  const isOwnName = replay.ranAs === handler.name;
  const own = { ...handler, name: replay.ranAs };
  const ended = new AbortController();
  const stop = AbortSignal.any([deps.signal, ended.signal]);
  const suspectedIn = await readSuspected(replay, sql);
  const breakers = createBreakers([own.name], { sql, log }, breakerDefaults);
  const parts = openPartitions(own, replay, { ...deps, breakers, suspectedIn });
  // What is parked under the handler's own name is its workers' affair.
  const runner = isOwnName ? undefined : startRunner([own], { ...deps, breakers }, runnerLimits);
  const note = async (): Promise<void> => {
    const isRunning = await writeProgress(deps, replay, parts).catch(() => true);
    if (!isRunning) ended.abort();
  };
  const noting = repeat(progressMs, stop, note);
  let isDone = false;
  try {
    await read({ ...replay, log: ofLog }, parts, { ...deps, signal: stop });
    await rest(() => [...parts.values()].every((one) => one.unresolved() === 0), stop);
    if (!isOwnName) await rest(async () => !(await hasDue(deps, own.name).catch(() => true)), stop);
    if (stop.aborted) return "stopped";
    await finish(deps, replay);
    isDone = true;
    return "done";
  } finally {
    ended.abort();
    await Promise.all([...parts.values()].map((one) => one.drain(drainMs)));
    await runner?.stop(drainMs);
    await noting;
    if (!isDone) await writeProgress(deps, replay, parts).catch(() => {});
    await breakers.stop();
  }
};

type Parts = ReadonlyMap<number, Partition>;

/** Under a name of its own among the groups that have something on record. */
const trialGroup = ({ id }: Replay): string => `replay ${id}`;

type SuspectedIn = (partition: number, until: number) => Readonly<{ suspected?: Suspected }>;

/** What a process that was reading before may have ended of. */
const readSuspected = async (replay: Replay, sql: Sql): Promise<SuspectedIn> => {
  if (!replay.isResumed) return () => ({});
  const reader = { group: trialGroup(replay), instance: randomUUID() };
  const found = await Promise.all(
    replay.ranges.map(async ({ partition }) => {
      const at = { topic: replay.topic, partition };
      const fatal = await readMarked(sql, reader, at);
      return [partition, { fatal, marks: createMarks(sql, reader, at) }] as const;
    }),
  );
  const byPartition = new Map(found);
  return (partition, before) => {
    const known = byPartition.get(partition);
    return known ? { suspected: { ...known, count: admittedMax, before } } : {};
  };
};

const openPartitions = (
  own: Handler,
  replay: Replay,
  { suspectedIn, ...deps }: RunnerDeps & Readonly<{ breakers: Breakers; suspectedIn: SuspectedIn }>,
): Parts =>
  new Map(
    replay.ranges.map(({ partition, next, until }) => [
      partition,
      createPartition({ topic: replay.topic, partition, offset: next }, [own], {
        ...deps,
        ...{ work: createWork(deps), isAlone: true, retry, onResolved: () => {} },
        ...suspectedIn(partition, until),
      }),
    ]),
  );

/** The log that the group has read as far as the replay is to read. */
const findLog = async (
  { sql, group }: ReplayDeps,
  { topic, ranges }: Replay,
): Promise<LogIdentity | null> => {
  let log: LogIdentity | null = null;
  for (const mark of await readWatermarks(sql, { group, topics: [topic] })) {
    const range = ranges.find((one) => one.partition === mark.partition);
    if (!range) continue;
    const { clusterId, topicId } = mark;
    const isStrange = (log && !isOfLog(mark, log)) || range.until > mark.next;
    if (mark.haltedAt !== null || isStrange) {
      const why = mark.haltReason ?? "the group has not read this log so far";
      throw fault("conflict", `${topic}/${mark.partition} cannot be replayed: ${why}`);
    }
    if (clusterId !== null && topicId !== null) log = { clusterId, topicId };
  }
  return log;
};

const read = (
  { topic, ranges, log }: Replay & Readonly<{ log: LogIdentity | null }>,
  parts: Parts,
  { readRanges, signal }: Pick<ReplayDeps, "readRanges" | "signal">,
): Promise<void> =>
  readRanges({
    ...{ topic, log },
    ranges: ranges.map(({ partition, next, until }) => ({ partition, from: next, to: until })),
    signal,
    onRecords: async (records, partition) => {
      const part = parts.get(partition);
      part?.admit(records);
      await rest(() => (part?.unresolved() ?? 0) < admittedMax, signal);
    },
  });

const rest = async (isOver: () => boolean | Promise<boolean>, signal: AbortSignal) => {
  while (!signal.aborted && !(await isOver())) {
    await delay(pollMs, undefined, { signal }).catch(() => {});
  }
};

const hasDue = async ({ sql }: ReplayDeps, ranAs: string): Promise<boolean> => {
  const rows = await sql`
    select from outrider.parked_heads where handler = ${ranAs} and due_at < 'infinity' limit 1`;
  return rows.length > 0;
};

/** False when somebody has cancelled it. */
const writeProgress = async (
  { sql }: ReplayDeps,
  { id }: Replay,
  parts: Parts,
): Promise<boolean> => {
  const positions = [...parts.values()].map((one) => one.position());
  await sql`
    update outrider.replay_ranges r
    set next = greatest(r.next, least(r.until, reached.next))
    from unnest(
      ${positions.map((one) => one.partition)}::int[],
      ${positions.map((one) => one.offset)}::bigint[]
    ) as reached (partition, next)
    where r.replay = ${id} and r.partition = reached.partition`;
  const [row] = await sql`
    update outrider.replays set changed_at = clock_timestamp()
    where id = ${id} and state = 'running' returning id`;
  return row !== undefined;
};

/** The last records of a partition may be gone or be none of ours. */
const finish = async ({ sql }: ReplayDeps, replay: Replay): Promise<void> => {
  const { id } = replay;
  await sql.begin(async (tx) => {
    await tx`delete from outrider.trials where "group" = ${trialGroup(replay)}`;
    await tx`update outrider.replay_ranges set next = until where replay = ${id}`;
    await tx`
      update outrider.replays set state = 'done', changed_at = clock_timestamp()
      where id = ${id} and state = 'running'`;
  });
};
