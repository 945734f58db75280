/**
 * Who reads which partition. A row that its owner did not remove says that the owner ended, or was
 * cut off, amid what it was handling: an event may have killed it. Whoever reads the partition
 * next keeps on record what it runs, as long as that may have been in flight (`trial.ts`).
 */

import type { TopicPartition } from "@outrider/event";
import type { Sql } from "@outrider/postgres";

/** What somebody has left in a partition. */
export type Remains = TopicPartition & Readonly<{ instances: readonly string[] }>;

/**
 * Enters the reader, and then looks for others, so that of two that come at the same time at least
 * one sees the other. Returns the partitions that have other rows, each with those that had not
 * been seen for `deadMs`.
 */
export const enterReader = async (
  sql: Sql,
  { group, instance }: Readonly<{ group: string; instance: string }>,
  { partitions, deadMs }: Readonly<{ partitions: readonly TopicPartition[]; deadMs: number }>,
): Promise<Remains[]> => {
  const topics = partitions.map((one) => one.topic);
  const numbers = partitions.map((one) => one.partition);
  await sql`
    insert into outrider.readers ("group", topic, partition, instance)
    select ${group}, topic, partition, ${instance}
    from unnest(${topics}::text[], ${numbers}::int[]) as mine (topic, partition)
    order by topic, partition
    on conflict do nothing`;
  const rows = await sql<{ topic: string; partition: number; dead: string[] }[]>`
    select r.topic, r.partition, coalesce(array_agg(r.instance::text) filter (
      where r.seen_at < clock_timestamp() - ${deadMs} * interval '1 ms'), '{}') as dead
    from outrider.readers r
    join unnest(${topics}::text[], ${numbers}::int[]) as mine (topic, partition)
      using (topic, partition)
    where r."group" = ${group} and r.instance <> ${instance}
    group by r.topic, r.partition`;
  return rows.map(({ dead, ...at }) => ({ ...at, instances: dead }));
};

/** Says that these readers are alive. */
export const seeReaders = async (
  sql: Sql,
  group: string,
  instances: readonly string[],
): Promise<void> => {
  await sql`
    update outrider.readers set seen_at = clock_timestamp()
    where "group" = ${group} and instance = any(${instances}::uuid[])`;
};

/**
 * Removes rows and what they had on record: the reader's own when it gives a partition back, or
 * remains that were seen to.
 */
export const removeReaders = async (
  sql: Sql,
  group: string,
  removed: readonly Remains[],
): Promise<void> => {
  const rows = removed.flatMap(({ topic, partition, instances }) =>
    instances.map((instance) => ({ topic, partition, instance })),
  );
  if (rows.length === 0) return;
  await sql`
    with gone as (
      select * from unnest(
        ${rows.map((row) => row.topic)}::text[],
        ${rows.map((row) => row.partition)}::int[],
        ${rows.map((row) => row.instance)}::uuid[]
      ) as gone (topic, partition, instance)
    ), marks as (
      -- also what a reader has put on record after its row was removed
      delete from outrider.trials t using gone
      where t."group" = ${group} and t.topic = gone.topic and t.partition = gone.partition
        and (t.instance = gone.instance or not exists (
          select from outrider.readers r
          where r."group" = t."group" and r.topic = t.topic and r.partition = t.partition
            and r.instance = t.instance))
    )
    delete from outrider.readers r using gone
    where r."group" = ${group} and r.topic = gone.topic and r.partition = gone.partition
      and r.instance = gone.instance`;
};
