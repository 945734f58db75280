/** How large the inbox is and how fast it grows, from what Postgres counts by itself. */

import type { Sql } from "@outrider/postgres";

export type InboxSize = Readonly<{
  /** An estimate: what the statistics say; after a crash of Postgres, its last ANALYZE. */
  rows: number;
  /** On disk, with its indexes. */
  bytes: number;
  /**
   * Since the statistics began, rolled back ones included; it starts anew when Postgres has crashed
   * or its statistics were reset.
   */
  inserted: number;
}>;

/** Reads no row of the table: a count of it would take seconds where there are millions. */
export const readInboxSize = async (sql: Sql): Promise<InboxSize> => {
  const [row] = await sql<InboxSize[]>`
    select
      coalesce(
        nullif(pg_stat_get_live_tuples(oid), 0), greatest(reltuples, 0)
      )::float8 as rows,
      pg_total_relation_size(oid)::float8 as bytes,
      pg_stat_get_tuples_inserted(oid)::float8 as inserted
    from pg_class where oid = 'outrider.inbox'::regclass`;
  if (!row) throw new Error("no row");
  return row;
};
