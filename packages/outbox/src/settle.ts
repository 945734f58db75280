/** Removing what the broker has acknowledged. */

import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";

/**
 * Deletes published rows and returns how many. The lease row is locked FOR SHARE: a takeover waits
 * for this statement, or this statement finds its epoch gone and deletes nothing.
 */
export const settle = async (
  sql: Sql,
  { shard, owner, epoch }: Lease,
  ids: readonly string[],
): Promise<number> => {
  const result = await sql`
    with own as (
      select 1 from outrider.shards
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      for share
    )
    delete from outrider.outbox o
    using unnest(${ids as string[]}::bigint[]) as published (id), own
    where o.shard = ${shard} and o.id = published.id`;
  return result.count;
};
