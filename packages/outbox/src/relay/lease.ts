/**
 * Ownership of shards. A lease is taken with an epoch that no earlier owner had, and ends at a
 * deadline on the database's clock. Every statement that counts carries the epoch, so that an
 * owner that was paused past its deadline changes nothing.
 */

import type { Sql } from "@outrider/postgres";

export type Lease = Readonly<{
  shard: number;
  owner: string;
  /** A bigint as text. */
  epoch: string;
  layout: number;
  /**
   * When this run of Postgres began, as text. After a restart or a failover, what is remembered of
   * ids need not hold, so the lease does not either.
   */
  incarnation: string;
  /** Owners in a row that ended without giving the shard back, and that nobody has outlived. */
  crashes: number;
  /** The rows that the last of them was publishing together: how many, and the last one's id. */
  suspects: Suspects | undefined;
  /** The row that the last of them was publishing alone. */
  trying: number | null;
  /** How many of them in a row were publishing that one. */
  tryingCrashes: number;
}>;

export type Suspects = Readonly<{ last: number; rows: number }>;

export type Claim = Readonly<{ owner: string; ttlMs: number }>;

/** Channel that asks relays to look at leases and blocked keys at once. */
export const shardsChannel = "outrider_shards";

/**
 * Takes a shard that is free, expired, or this owner's own: then with a new epoch too, which ends
 * whatever the owner itself still has under way. Undefined: somebody else has it.
 */
export const claimShard = async (
  sql: Sql,
  shard: number,
  { owner, ttlMs }: Claim,
): Promise<Lease | undefined> => {
  const [row] = await sql<ClaimedRow[]>`
    update outrider.shards
    set owner = ${owner}, epoch = epoch + 1,
      deadline = clock_timestamp() + ${ttlMs} * interval '1 millisecond',
      -- an owner that never gave it back has crashed, or was away for longer than its lease
      crashes = case when owner is null or owner = ${owner} then crashes
        else least(crashes + 1, 1000) end,
      trying_crashes = case when owner is null or owner = ${owner} then trying_crashes
        when trying is null then 0 else least(trying_crashes + 1, 1000) end,
      -- what an owner had on its way counts only when that owner has crashed
      suspect_last = case when owner <> ${owner} then suspect_last end,
      suspect_rows = case when owner <> ${owner} then suspect_rows end
    where shard = ${shard}
      and (owner is null or owner = ${owner} or deadline < clock_timestamp())
    returning epoch, layout, crashes, trying, trying_crashes as "tryingCrashes",
      suspect_last as last, suspect_rows as rows,
      extract(epoch from pg_postmaster_start_time())::text as incarnation`;
  if (!row) return undefined;
  const { last, rows, trying, ...rest } = row;
  return {
    ...{ ...rest, shard, owner },
    trying: trying === null ? null : Number(trying),
    suspects: last === null || rows === null ? undefined : { last: Number(last), rows },
  };
};

type ClaimedRow = Pick<Lease, "epoch" | "layout" | "incarnation" | "crashes" | "tryingCrashes"> &
  Readonly<{ trying: string | null; last: string | null; rows: number | null }>;

/** Gives a shard back at once instead of letting its deadline pass, and says so. */
export const releaseShard = async (sql: Sql, { shard, owner, epoch }: Lease): Promise<void> => {
  await sql`
    with given as (
      update outrider.shards
      set owner = null, deadline = null, trying = null, trying_crashes = 0, suspect_last = null,
        suspect_rows = null
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      returning 1
    )
    select pg_notify(${shardsChannel}, '') from given`;
};

/** Before a row is published alone, which id; null when its process has outlived it. */
export const markTrying = async (sql: Sql, lease: Lease, id: number | null): Promise<void> => {
  await sql`
    update outrider.shards
    set trying = ${id},
      trying_crashes = case when trying = ${id} then trying_crashes else 0 end,
      suspect_last = null, suspect_rows = null
    from ${unhurried(sql)}
    where shard = ${lease.shard} and owner = ${lease.owner} and epoch = ${lease.epoch}`;
};

/**
 * What is on record has to outlive this process, not a crash of the database, which ends no process
 * of ours: its commit does not wait for the disk.
 */
const unhurried = (sql: Sql) => sql`set_config('synchronous_commit', 'off', true)`;

/** Before rows are published together that may end their process. */
export const markSuspects = async (sql: Sql, lease: Lease, suspects: Suspects): Promise<void> => {
  await sql`
    update outrider.shards
    set suspect_last = ${suspects.last}, suspect_rows = ${suspects.rows}, trying = null,
      trying_crashes = 0
    from ${unhurried(sql)}
    where shard = ${lease.shard} and owner = ${lease.owner} and epoch = ${lease.epoch}`;
};

/** This owner has outlived everything that an earlier one may have ended of. */
export const markAlive = async (sql: Sql, { shard, owner, epoch }: Lease): Promise<void> => {
  await sql`
    update outrider.shards
    set crashes = 0, trying = null, trying_crashes = 0, suspect_last = null, suspect_rows = null
    where shard = ${shard} and owner = ${owner} and epoch = ${epoch}`;
};
