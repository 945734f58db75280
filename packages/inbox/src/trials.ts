/**
 * What lanes are running now, on record: only where an earlier reader of the partition may have
 * ended amid it. What is on record when a reader ends is all of it that can have ended the process.
 */

import type { TopicPartition } from "@outrider/event";
import type { Sql } from "@outrider/postgres";

/** Of one reader in one partition. */
export type Marks = Readonly<{
  put(handler: string, offsets: readonly number[]): Promise<void>;
  /** `first` of the offsets that were put. */
  remove(handler: string, first: number): Promise<void>;
}>;

export type Reader = Readonly<{ group: string; instance: string }>;

/** Offsets by handler. */
export type Offsets = ReadonlyMap<string, ReadonlySet<number>>;

/**
 * A mark has to outlive this process, not a crash of the database, which ends no process of ours:
 * its commit does not wait for the disk.
 */
export const createMarks = (
  sql: Sql,
  { group, instance }: Reader,
  { topic, partition }: TopicPartition,
): Marks => ({
  put: async (handler, offsets) => {
    await sql`
      insert into outrider.trials ("group", topic, partition, instance, handler, first, offsets)
      select ${group}, ${topic}, ${partition}, ${instance}, ${handler}, ${offsets[0] ?? 0},
        ${offsets as number[]}::bigint[]
      from set_config('synchronous_commit', 'off', true)
      on conflict ("group", topic, partition, instance, handler, first)
        do update set offsets = excluded.offsets`;
  },
  remove: async (handler, first) => {
    await sql`
      delete from outrider.trials using set_config('synchronous_commit', 'off', true)
      where "group" = ${group} and topic = ${topic} and partition = ${partition}
        and instance = ${instance} and handler = ${handler} and first = ${first}`;
  },
});

/** What other readers of the partition have left on record. */
export const readMarked = async (
  sql: Sql,
  { group, instance }: Reader,
  { topic, partition }: TopicPartition,
): Promise<Offsets> => {
  const rows = await sql<{ handler: string; offsets: number[] }[]>`
    select handler, array_agg(position::float8) as offsets
    from outrider.trials, unnest(offsets) as position
    where "group" = ${group} and topic = ${topic} and partition = ${partition}
      and instance <> ${instance}
    group by handler`;
  return new Map(rows.map((row) => [row.handler, new Set(row.offsets)]));
};
