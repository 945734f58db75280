/** How much waits to be published, for how long, and what is kept from it. */

import type { Sql } from "@outrider/postgres";

/** Counting stops here: a look at the backlog must not cost a scan of all of it. */
const countMax = 100_000;

export type Backlog = Readonly<{
  /** At most `countMax`, as all counts here. */
  pending: number;
  /** Since the oldest waiting event was written; 0 when nothing waits. */
  oldestAgeMs: number;
  /** Events that wait behind a blocked key, the blocking ones included. */
  held: number;
  blockedKeys: number;
  openLetters: number;
}>;

type BacklogRow = Omit<Backlog, "oldestAgeMs"> & Readonly<{ age: string | null }>;

export const readBacklog = async (sql: Sql): Promise<Backlog> => {
  const [row] = await sql<BacklogRow[]>`
    select
      (
        select count(*)::int
        from (select 1 from outrider.outbox limit ${countMax}) as counted
      ) as pending,
      (
        select extract(epoch from clock_timestamp() - min(first.created_at)) * 1000
        from outrider.shards s
        cross join lateral (
          select o.created_at from outrider.outbox o where o.shard = s.shard order by o.id limit 1
        ) as first
      ) as age,
      (
        select count(*)::int
        from (select 1 from outrider.outbox_held limit ${countMax}) as counted
      ) as held,
      (
        select count(*)::int
        from (select 1 from outrider.blocked limit ${countMax}) as counted
      ) as "blockedKeys",
      (
        select count(*)::int
        from (
          select 1 from outrider.dead_letters
          where state = 'open' and origin = 'relay' and handler is null limit ${countMax}
        ) as counted
      ) as "openLetters"`;
  if (!row) throw new Error("no row");
  const { age, ...counts } = row;
  return { ...counts, oldestAgeMs: Math.max(0, Number(age ?? 0)) };
};
