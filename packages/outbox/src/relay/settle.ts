/** Removing what the broker has acknowledged. */

import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";

/** An array as Postgres reads it; the driver would quote every element. */
export const idArray = (ids: readonly number[]): string => `{${ids.join(",")}}`;

/**
 * Deletes published rows and returns how many. The lease row is locked FOR SHARE: a takeover waits
 * for this statement, or this statement finds its epoch gone and deletes nothing.
 */
export const settle = async (
  sql: Sql,
  { shard, owner, epoch }: Lease,
  ids: readonly number[],
): Promise<number> => {
  const result = await sql`
    with own as (
      select 1 from outrider.shards
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      for share
    )
    delete from outrider.outbox o
    using unnest(${idArray(ids)}::text::bigint[]) as published (id), own
    where o.shard = ${shard} and o.id = published.id`;
  return result.count;
};

/** As `settle`, for rows that waited behind a blocked key. */
export const settleHeld = async (
  sql: Sql,
  { shard, owner, epoch }: Lease,
  { block, ids }: Readonly<{ block: string; ids: readonly number[] }>,
): Promise<number> => {
  const result = await sql`
    with own as (
      select 1 from outrider.shards
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      for share
    )
    delete from outrider.outbox_held h
    using unnest(${idArray(ids)}::text::bigint[]) as published (id), own
    where h.block = ${block} and h.id = published.id`;
  return result.count;
};
