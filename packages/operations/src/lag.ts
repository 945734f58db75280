/** How far handlers are behind the ends of their topics, and whether that is well. */

import type { TopicEnd, TopicReader } from "@outrider/broker";
import { isFault } from "@outrider/event";
import { judgeHalts, judgeHandler } from "@outrider/health";
import type { Behind, Finding, Thresholds } from "@outrider/health";
import { readHandlers, readWatermarks } from "@outrider/inbox";
import type { HandlerStatus, Watermark } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";

export type HandlerLag = HandlerStatus &
  Readonly<{
    /**
     * Records that the handler's group has not read, of all types; null: Kafka was not asked, or
     * partitions are halted or topics missing, of which nobody can say.
     */
    lag: number | null;
    /** Topics that the handler asks for and Kafka does not have; empty when Kafka was not asked. */
    missingTopics: readonly string[];
    /** Partitions that the group does not read until an operator decides; null: it reads all. */
    halted: Readonly<{ partitions: number; reason: string }> | null;
    /** Null: it is not far behind, or Kafka was not asked. */
    behind: Behind | null;
    findings: readonly Finding[];
  }>;

export type LagDeps = Readonly<{
  sql: Sql;
  kafka?: TopicReader | undefined;
  limits: Thresholds;
}>;

export type Lags = Readonly<{
  handlers: readonly HandlerLag[];
  /** What Kafka answered in place of the ends of topics. */
  failure?: string;
}>;

export const readHandlerLags = async (deps: LagDeps): Promise<Lags> => {
  const handlers = await readHandlers(deps.sql);
  const topics = [...new Set(handlers.flatMap((one) => one.topics))];
  const [{ ends, failure }, groups] = await Promise.all([
    readEnds(deps, topics),
    readGroups(deps.sql, handlers),
  ]);
  const behind = ends && (await readBehind(deps, ends, groups));
  const told = handlers.map((one) => {
    const marks = groups.get(one.group ?? "")?.marks ?? [];
    return lagging(one, { ends, marks, behind: behind?.get(one.group ?? ""), ...deps });
  });
  return { handlers: told, ...(failure !== undefined && { failure }) };
};

type Known = Readonly<{
  ends: readonly TopicEnd[] | undefined;
  marks: readonly Watermark[];
  behind: readonly Behind[] | undefined;
  limits: Thresholds;
}>;

const lagging = (one: HandlerStatus, { ends, marks, behind, limits }: Known): HandlerLag => {
  const halted = marks.filter((mark) => mark.haltedAt !== null && one.topics.includes(mark.topic));
  const there = new Set(ends?.map((end) => end.topic));
  const missingTopics = ends ? one.topics.filter((topic) => !there.has(topic)) : [];
  const isKnown = one.group !== null && halted.length === 0 && missingTopics.length === 0;
  const halts = halted.map(({ haltReason, ...mark }) => ({ ...mark, reason: haltReason ?? "" }));
  const [first] = halts;
  const told = {
    ...{ ...one, missingTopics, behind: furthest(one, behind) },
    lag: ends && isKnown ? lagOf(one, ends, marks) : null,
    halted: first ? { partitions: halts.length, reason: first.reason } : null,
  };
  return { ...told, findings: [...judgeHalts(halts), ...judgeHandler({ ...told, limits })] };
};

type Ends = Readonly<{ ends?: readonly TopicEnd[]; failure?: string }>;

/** Nothing where Kafka cannot be asked: all else is known without it. */
const readEnds = async ({ kafka }: LagDeps, topics: readonly string[]): Promise<Ends> => {
  if (!kafka) return {};
  try {
    return { ends: await kafka.readEnds(topics) };
  } catch (error) {
    if (isFault(error)) return { failure: error.message };
    throw error;
  }
};

type Group = Readonly<{ topics: readonly string[]; marks: readonly Watermark[] }>;
type Groups = ReadonlyMap<string, Group>;

const readGroups = async (sql: Sql, handlers: readonly HandlerStatus[]): Promise<Groups> => {
  const run = handlers.filter((one) => one.group !== null);
  const byGroup = Map.groupBy(run, (one) => one.group ?? "");
  const groups = [...byGroup].map(async ([group, members]) => {
    const topics = [...new Set(members.flatMap((one) => one.topics))];
    return [group, { topics, marks: await readWatermarks(sql, { group, topics }) }] as const;
  });
  return new Map(await Promise.all(groups));
};

/** What a topic has let go of before it was read is unread no more. */
const unreadOf = ({ topic, partition, low, high }: TopicEnd, marks: readonly Watermark[]) => {
  const mark = marks.find((one) => one.topic === topic && one.partition === partition);
  const next = Math.max(mark?.next ?? low, low);
  return { mark, next, records: Math.max(0, high - next) };
};

const lagOf = (
  { topics }: Pick<HandlerStatus, "topics">,
  ends: readonly TopicEnd[],
  marks: readonly Watermark[],
): number =>
  ends
    .filter((end) => topics.includes(end.topic))
    .reduce((sum, end) => sum + unreadOf(end, marks).records, 0);

/** Of each group so many partitions are looked into, those first that have moved longest ago. */
const looksMax = 8;

/**
 * How old the first unread record is, where it may be old: when a record comes after a long rest,
 * the time since its group has moved says nothing.
 */
const readBehind = async (
  { kafka, limits }: LagDeps,
  ends: readonly TopicEnd[],
  groups: Groups,
): Promise<ReadonlyMap<string, readonly Behind[]>> => {
  const nowMs = Date.now();
  const found = [...groups].map(async ([name, group]) => {
    const looks = candidatesOf(ends, group, { nowMs, ...limits }).slice(0, looksMax);
    const aged = looks.map(async ({ next, ...one }): Promise<Behind | undefined> => {
      const at = { topic: one.topic, partition: one.partition, offset: next };
      const record = await kafka?.readRecord(at).catch(noneIfFault);
      return record && { ...one, ageMs: Math.max(0, nowMs - record.timestampMs) };
    });
    return [name, (await Promise.all(aged)).filter((one) => one !== undefined)] as const;
  });
  return new Map(await Promise.all(found));
};

type Candidate = Omit<Behind, "ageMs"> & Readonly<{ next: number }>;

const candidatesOf = (
  ends: readonly TopicEnd[],
  { topics, marks }: Group,
  { nowMs, stallMaxMs, backlogMin }: Thresholds & Readonly<{ nowMs: number }>,
): Candidate[] =>
  ends
    .filter((end) => topics.includes(end.topic))
    .flatMap((end) => {
      const { topic, partition } = end;
      const { mark, next, records } = unreadOf(end, marks);
      if (mark && mark.haltedAt !== null) return [];
      const movedMs = mark ? Math.max(0, nowMs - mark.updatedAt.getTime()) : null;
      const isWorthIt = (movedMs ?? Infinity) > stallMaxMs || records >= backlogMin;
      return records > 0 && isWorthIt ? [{ topic, partition, records, movedMs, next }] : [];
    })
    .toSorted((a, b) => (b.movedMs ?? Infinity) - (a.movedMs ?? Infinity));

/** Kafka went away, or the topic did: then nobody knows how old its records are. */
const noneIfFault = (error: unknown): undefined => {
  if (!isFault(error)) throw error;
};

const furthest = (
  { topics }: Pick<HandlerStatus, "topics">,
  behind: readonly Behind[] = [],
): Behind | null =>
  behind.filter((one) => topics.includes(one.topic)).toSorted((a, b) => b.ageMs - a.ageMs)[0] ??
  null;
