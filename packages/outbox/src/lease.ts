/**
 * Ownership of shards. A lease is taken with an epoch that no earlier owner had, and ends at a
 * deadline on the database's clock. Every statement that counts carries the epoch, so that an
 * owner that was paused past its deadline changes nothing.
 */

import { fault } from "@outrider/event";
import type { Sql } from "@outrider/postgres";

export type Lease = Readonly<{
  shard: number;
  owner: string;
  /** A bigint as text. */
  epoch: string;
  layout: number;
}>;

export type Claim = Readonly<{ owner: string; layout: number; ttlMs: number }>;

/**
 * Shards that nobody owns now, by the database's clock. Throws `layout_mismatch` when the outbox
 * is laid out in a way that this relay does not know: it would look for keys in other shards.
 */
export const findFreeShards = async (sql: Sql, layout: number): Promise<number[]> => {
  const rows = await sql<{ shard: number; layout: number; free: boolean }[]>`
    select shard, layout, owner is null or deadline < clock_timestamp() as free
    from outrider.shards
    order by shard`;
  const other = rows.find((row) => row.layout !== layout);
  if (other) {
    const known = `this relay knows layout ${layout}`;
    throw fault("layout_mismatch", `The outbox has layout ${other.layout}, ${known}`);
  }
  return rows.filter((row) => row.free).map((row) => row.shard);
};

/**
 * Takes a shard that is free, expired, or this owner's own: then with a new epoch too, which ends
 * whatever the owner itself still has under way. Undefined: somebody else has it.
 */
export const claimShard = async (
  sql: Sql,
  shard: number,
  { owner, layout, ttlMs }: Claim,
): Promise<Lease | undefined> => {
  const [row] = await sql<{ epoch: string }[]>`
    update outrider.shards
    set owner = ${owner}, epoch = epoch + 1,
      deadline = clock_timestamp() + ${ttlMs} * interval '1 millisecond'
    where shard = ${shard} and layout = ${layout}
      and (owner is null or owner = ${owner} or deadline < clock_timestamp())
    returning epoch`;
  return row && { shard, owner, epoch: row.epoch, layout };
};

/** Moves the deadlines; returns the shards that are still owned under their epochs. */
export const renewLeases = async (
  sql: Sql,
  leases: readonly Lease[],
  { owner, layout, ttlMs }: Claim,
): Promise<Set<number>> => {
  const rows = await sql<{ shard: number }[]>`
    update outrider.shards s
    set deadline = clock_timestamp() + ${ttlMs} * interval '1 millisecond'
    from unnest(
      ${leases.map((lease) => lease.shard)}::smallint[],
      ${leases.map((lease) => lease.epoch)}::bigint[]
    ) as mine (shard, epoch)
    where s.shard = mine.shard and s.epoch = mine.epoch
      and s.owner = ${owner} and s.layout = ${layout}
      -- an expired lease is not renewed: another relay may be about to take it
      and s.deadline >= clock_timestamp()
    returning s.shard`;
  return new Set(rows.map((row) => row.shard));
};

/** Gives a shard back at once instead of letting its deadline pass. */
export const releaseShard = async (sql: Sql, { shard, owner, epoch }: Lease): Promise<void> => {
  await sql`
    update outrider.shards set owner = null, deadline = null
    where shard = ${shard} and owner = ${owner} and epoch = ${epoch}`;
};
