/** What relays tell each other through the database: who is alive, who owns which shard. */

import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";
import type { Trouble } from "./troubles.ts";

export type Member = Readonly<{
  owner: string;
  /** For people: host and process. */
  name: string;
  startedAt: Date;
  ttlMs: number;
  /** What it has counted since it started. */
  stats: Readonly<Record<string, number>>;
  troubles: readonly Trouble[];
}>;

export type Overview = Readonly<{
  shards: readonly Readonly<{
    shard: number;
    /** Absent when nobody owns it now, by the database's clock. */
    owner?: string;
    /** An operator has decided about a blocked key of it. */
    isReleasing: boolean;
  }>[];
  /** Relays that are alive, by owner. */
  members: readonly string[];
  /** Until the first lease ends that is not renewed; absent without leases of others. */
  nextExpiryMs?: number;
}>;

/**
 * Says that this relay is alive and moves its deadlines, in one statement, which also forgets
 * relays that have been gone for a minute. Returns the shards that are still owned under their
 * epochs.
 */
export const beat = async (
  sql: Sql,
  { owner, name, startedAt, ttlMs, stats, troubles }: Member,
  leases: readonly Lease[],
): Promise<Set<number>> => {
  const rows = await sql<{ shard: number }[]>`
    with alive as (
      insert into outrider.relays (owner, name, started_at, deadline, stats, troubles)
      values (${owner}, ${name}, ${startedAt},
        clock_timestamp() + ${ttlMs} * interval '1 millisecond', ${sql.json(stats)},
        ${JSON.stringify(troubles)}::text::jsonb)
      on conflict (owner) do update
      set deadline = excluded.deadline, stats = excluded.stats, troubles = excluded.troubles
    ), gone as (
      delete from outrider.relays where owner in (
        -- all relays come by here, and none waits for another
        select r.owner from outrider.relays r
        where r.owner <> ${owner} and r.deadline < clock_timestamp() - interval '1 minute'
        for update skip locked
      )
    )
    update outrider.shards s
    set deadline = clock_timestamp() + ${ttlMs} * interval '1 millisecond'
    from unnest(
      ${leases.map((lease) => lease.shard)}::smallint[],
      ${leases.map((lease) => lease.epoch)}::bigint[],
      ${leases.map((lease) => lease.layout)}::int[],
      ${leases.map((lease) => lease.incarnation)}::text[]
    ) as mine (shard, epoch, layout, incarnation)
    where s.shard = mine.shard and s.epoch = mine.epoch and s.layout = mine.layout
      and s.owner = ${owner}
      and mine.incarnation = extract(epoch from pg_postmaster_start_time())::text
      -- an expired lease is not renewed: another relay may be about to take it
      and s.deadline >= clock_timestamp()
    returning s.shard`;
  return new Set(rows.map((row) => row.shard));
};

type ShardRow = { shard: number; owner: string | null; left_ms: number | null; releasing: boolean };

export const readOverview = async (sql: Sql, owner: string): Promise<Overview> => {
  const shards = await sql<ShardRow[]>`
    select s.shard, case when s.deadline >= clock_timestamp() then s.owner end as owner,
      (extract(epoch from s.deadline - clock_timestamp()) * 1000)::float8 as left_ms,
      exists (
        select 1 from outrider.blocked b where b.shard = s.shard and b.state = 'release'
      ) as releasing
    from outrider.shards s
    order by s.shard`;
  const members = await sql<{ owner: string }[]>`
    select owner from outrider.relays where deadline >= clock_timestamp() order by owner`;
  const others = shards.flatMap((row) =>
    row.owner !== null && row.owner !== owner && row.left_ms !== null ? [row.left_ms] : [],
  );
  return {
    shards: shards.map((row) => ({
      shard: row.shard,
      isReleasing: row.releasing,
      ...(row.owner !== null && { owner: row.owner }),
    })),
    members: members.map((member) => member.owner),
    ...(others.length > 0 && { nextExpiryMs: Math.min(...others) }),
  };
};

export const leave = async (sql: Sql, owner: string): Promise<void> => {
  await sql`delete from outrider.relays where owner = ${owner}`;
};
