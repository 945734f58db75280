/**
 * Where a group goes on reading. The truth is in Postgres, beside the inbox rows it speaks of, so
 * that a restore of the database replays what the database has lost; Kafka gets a copy. A number
 * means something in one log only, so the log stands beside it, and a halt lasts in the same row.
 */

import type { LogIdentity, Position, TopicPartition } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { StoredMark } from "./start-offset.ts";

export type MarkAt = TopicPartition & StoredMark;

/** How far a reader is: `offset` is the next one, `leaderEpoch` that of the last one before it. */
export type Reached = Position & LogIdentity & Readonly<{ leaderEpoch: number | null }>;

type Row = TopicPartition & {
  next: number;
  clusterId: string | null;
  topicId: string | null;
  leaderEpoch: number | null;
  haltReason: string | null;
};

export const readMarks = async (
  sql: Sql,
  group: string,
  partitions: readonly TopicPartition[],
): Promise<MarkAt[]> => {
  const rows = await sql<Row[]>`
    select topic, partition, next_offset::float8 as next, cluster_id as "clusterId",
      topic_id as "topicId", leader_epoch as "leaderEpoch",
      case when halted_at is not null then coalesce(halt_reason, '') end as "haltReason"
    from outrider.watermarks
    join unnest(
      ${partitions.map((one) => one.topic)}::text[],
      ${partitions.map((one) => one.partition)}::int[]
    ) as asked (topic, partition) using (topic, partition)
    where "group" = ${group}`;
  return rows.map(({ clusterId, topicId, ...row }) => {
    const log = clusterId !== null && topicId !== null ? { clusterId, topicId } : null;
    return { ...row, log };
  });
};

/** What a start has found out about a watermark, as it was read. */
export type Finding = Readonly<{
  mark: MarkAt;
  /** Of the log that is there now: taken on by a watermark without one. */
  log: LogIdentity;
  /** Why nothing may be read. */
  halt?: string;
}>;

/**
 * Stores halts, and the log of watermarks that had none. False, with nothing stored, when somebody
 * has changed one of the watermarks since: what was found may be wrong then.
 */
export const settleMarks = async (
  sql: Sql,
  group: string,
  findings: readonly Finding[],
): Promise<boolean> => {
  if (findings.length === 0) return true;
  const changed = Symbol("changed");
  const store = sql.begin(async (tx) => {
    const stored = await tx`
      with locked as (
        select w.topic, w.partition, found.cluster_id, found.topic_id, found.halt
        from outrider.watermarks w
        join unnest(
          ${findings.map(({ mark }) => mark.topic)}::text[],
          ${findings.map(({ mark }) => mark.partition)}::int[],
          ${findings.map(({ mark }) => mark.next)}::bigint[],
          ${findings.map(({ mark }) => mark.log?.clusterId ?? null)}::text[],
          ${findings.map(({ mark }) => mark.log?.topicId ?? null)}::text[],
          ${findings.map(({ log }) => log.clusterId)}::text[],
          ${findings.map(({ log }) => log.topicId)}::text[],
          ${findings.map(({ halt }) => halt ?? null)}::text[]
        ) as found (topic, partition, next_offset, own_cluster, own_topic, cluster_id, topic_id,
          halt) using (topic, partition, next_offset)
        where w."group" = ${group} and w.halted_at is null
          and w.cluster_id is not distinct from found.own_cluster
          and w.topic_id is not distinct from found.own_topic
        order by w.topic, w.partition
        for update of w
      )
      update outrider.watermarks w
      set halted_at = case when l.halt is not null then clock_timestamp() end,
        halt_reason = l.halt,
        cluster_id = case when l.halt is null then l.cluster_id else w.cluster_id end,
        topic_id = case when l.halt is null then l.topic_id else w.topic_id end
      from locked l
      where w."group" = ${group} and w.topic = l.topic and w.partition = l.partition`;
    if (stored.count < findings.length) throw changed;
  });
  try {
    await store;
    return true;
  } catch (error) {
    if (error === changed) return false;
    throw error;
  }
};

/**
 * Never goes back: a late writer knows less than the one after it, and both are right. Returns the
 * positions that were refused, since their partition is halted or its watermark counts in another
 * log: their reader has to ask anew where it stands.
 */
export const writeWatermarks = async (
  sql: Sql,
  group: string,
  positions: readonly Reached[],
): Promise<Reached[]> => {
  const rows = await sql<TopicPartition[]>`
    insert into outrider.watermarks as w
      ("group", topic, partition, next_offset, cluster_id, topic_id, leader_epoch)
    select ${group}, topic, partition, next_offset, cluster_id, topic_id, leader_epoch
    from unnest(
      ${positions.map((one) => one.topic)}::text[],
      ${positions.map((one) => one.partition)}::int[],
      ${positions.map((one) => one.offset)}::bigint[],
      ${positions.map((one) => one.clusterId)}::text[],
      ${positions.map((one) => one.topicId)}::text[],
      ${positions.map((one) => one.leaderEpoch)}::int[]
    ) as written (topic, partition, next_offset, cluster_id, topic_id, leader_epoch)
    -- sorted, so that two workers cannot deadlock
    order by topic, partition
    on conflict ("group", topic, partition) do update
    set next_offset = greatest(w.next_offset, excluded.next_offset),
      leader_epoch = case when excluded.next_offset > w.next_offset
        then excluded.leader_epoch else w.leader_epoch end,
      updated_at = clock_timestamp()
    where w.halted_at is null
      and (w.cluster_id, w.topic_id) = (excluded.cluster_id, excluded.topic_id)
    returning topic, partition`;
  const written = new Set(rows.map((row) => `${row.topic}/${row.partition}`));
  return positions.filter((one) => !written.has(`${one.topic}/${one.partition}`));
};
