/**
 * Where a group goes on reading. The truth is in Postgres, beside the inbox rows it speaks of, so
 * that a restore of the database replays what the database has lost; Kafka gets a copy.
 */

import type { Position, TopicPartition } from "@outrider/event";
import type { Sql } from "@outrider/postgres";

export const readPositions = async (
  sql: Sql,
  group: string,
  partitions: readonly TopicPartition[],
): Promise<Position[]> => {
  const rows = await sql<{ topic: string; partition: number; next_offset: string }[]>`
    select topic, partition, next_offset
    from outrider.watermarks
    join unnest(
      ${partitions.map((one) => one.topic)}::text[],
      ${partitions.map((one) => one.partition)}::int[]
    ) as asked (topic, partition) using (topic, partition)
    where "group" = ${group}`;
  return rows.map((row) => ({
    topic: row.topic,
    partition: row.partition,
    offset: Number(row.next_offset),
  }));
};

/** Never goes back: a late writer knows less than the one after it, and both are right. */
export const writeWatermarks = async (
  sql: Sql,
  group: string,
  positions: readonly Position[],
): Promise<void> => {
  await sql`
    insert into outrider.watermarks as w ("group", topic, partition, next_offset)
    select ${group}, topic, partition, next_offset
    from unnest(
      ${positions.map((one) => one.topic)}::text[],
      ${positions.map((one) => one.partition)}::int[],
      ${positions.map((one) => one.offset)}::bigint[]
    ) as written (topic, partition, next_offset)
    -- sorted, so that two workers cannot deadlock
    order by topic, partition
    on conflict ("group", topic, partition) do update
    set next_offset = greatest(w.next_offset, excluded.next_offset),
      updated_at = clock_timestamp()`;
};
