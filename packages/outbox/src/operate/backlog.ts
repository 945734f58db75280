/** How much waits to be published, and for how long. */

import type { Sql } from "@outrider/postgres";

/** Counting stops here: a look at the backlog must not cost a scan of all of it. */
const pendingCountMax = 100_000;

export type Backlog = Readonly<{
  /** At most `pendingCountMax`. */
  pending: number;
  /** Since the oldest waiting event was written; 0 when nothing waits. */
  oldestAgeMs: number;
}>;

export const readBacklog = async (sql: Sql): Promise<Backlog> => {
  const [row] = await sql<{ pending: number; age: string | null }[]>`
    select
      (
        select count(*)::int
        from (select 1 from outrider.outbox limit ${pendingCountMax}) as counted
      ) as pending,
      (
        select extract(epoch from clock_timestamp() - min(first.created_at)) * 1000
        from outrider.shards s
        cross join lateral (
          select o.created_at from outrider.outbox o where o.shard = s.shard order by o.id limit 1
        ) as first
      ) as age`;
  return { pending: row?.pending ?? 0, oldestAgeMs: Math.max(0, Number(row?.age ?? 0)) };
};
