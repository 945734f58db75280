/** How far handlers are behind the ends of their topics. */

import type { TopicEnd, TopicReader } from "@outrider/broker";
import { isFault } from "@outrider/event";
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
  }>;

export type LagDeps = Readonly<{ sql: Sql; kafka?: TopicReader | undefined }>;

export const readHandlerLags = async (deps: LagDeps): Promise<HandlerLag[]> => {
  const handlers = await readHandlers(deps.sql);
  const topics = [...new Set(handlers.flatMap((one) => one.topics))];
  const [ends, watermarks] = await Promise.all([
    readEnds(deps, topics),
    readAll(deps.sql, handlers),
  ]);
  return handlers.map((one) => {
    const marks = watermarks.get(one.group ?? "") ?? [];
    const halted = haltedOf(one, marks);
    const there = new Set(ends?.map((end) => end.topic));
    const missingTopics = ends ? one.topics.filter((topic) => !there.has(topic)) : [];
    const isKnown = one.group !== null && halted === null && missingTopics.length === 0;
    const lag = ends && isKnown ? lagOf(one, ends, marks) : null;
    return { ...one, halted, missingTopics, lag };
  });
};

const haltedOf = (
  { topics }: Pick<HandlerStatus, "topics">,
  watermarks: readonly Watermark[],
): HandlerLag["halted"] => {
  const halted = watermarks.filter((one) => one.haltedAt !== null && topics.includes(one.topic));
  if (halted.length === 0) return null;
  return { partitions: halted.length, reason: halted[0]?.haltReason ?? "" };
};

/** Undefined where Kafka cannot be asked: all else is known without it. */
const readEnds = async (
  { kafka }: LagDeps,
  topics: readonly string[],
): Promise<readonly TopicEnd[] | undefined> => {
  try {
    return await kafka?.readEnds(topics);
  } catch (error) {
    if (isFault(error)) return undefined;
    throw error;
  }
};

const readAll = async (
  sql: Sql,
  handlers: readonly HandlerStatus[],
): Promise<Map<string, readonly Watermark[]>> => {
  const byGroup = Map.groupBy(handlers, (one) => one.group ?? "");
  const groups = [...byGroup].map(async ([group, members]) => {
    const topics = [...new Set(members.flatMap((one) => one.topics))];
    return [group, await readWatermarks(sql, { group, topics })] as const;
  });
  return new Map(await Promise.all(groups));
};

/** What a topic has let go of before it was read is no lag any more. */
export const lagOf = (
  { topics }: Pick<HandlerStatus, "topics">,
  ends: readonly TopicEnd[],
  watermarks: readonly Pick<Watermark, "topic" | "partition" | "next">[],
): number =>
  ends
    .filter((end) => topics.includes(end.topic))
    .reduce((sum, { topic, partition, low, high }) => {
      const at = watermarks.find((one) => one.topic === topic && one.partition === partition);
      return sum + Math.max(0, high - Math.max(at?.next ?? low, low));
    }, 0);
