/**
 * How the relays are doing, from the database alone. Every question is bounded: none of them may
 * cost a scan of a large outbox.
 */

import type { Sql } from "@outrider/postgres";
import type { RelayCounts } from "../relay/stats.ts";
import type { Trouble } from "../relay/troubles.ts";

/** Counting stops here, for each shard and each blocked key. */
export const countMax = 100_000;

export type ShardStatus = Readonly<{
  shard: number;
  layout: number;
  /** Name of the relay that owns it now; null when nobody does. */
  owner: string | null;
  epoch: number;
  /** Until its lease ends; null without an owner. */
  leaseLeftMs: number | null;
  /** Events that wait to be published, at most `countMax`. */
  pending: number;
  oldestAgeMs: number | null;
  /** Owners in a row that ended without giving it back, and that nobody has outlived. */
  crashes: number;
}>;

export type RelayStatus = Readonly<{
  name: string;
  startedAt: Date;
  isAlive: boolean;
  counts: RelayCounts;
  /** Of one that is alive; at most 20. */
  troubles: readonly Trouble[];
}>;

export type BlockedStatus = Readonly<{
  letterId: number;
  topic: string;
  key: string;
  eventId: string;
  code: string;
  /** An operator has decided and the shard's owner is at it. */
  isReleasing: boolean;
  blockedAt: Date;
  /** Behind the blocking event, at most `countMax`. */
  waiting: number;
}>;

/** Who keeps deleted rows from being vacuumed, or a writer that hangs with an event. */
export type Holder = Readonly<{
  kind: "session" | "prepared transaction" | "replication slot";
  /** Pid and application, or the name of the slot or transaction. */
  name: string;
  /** Milliseconds; null where it is not known. */
  ageMs: number | null;
  doing: string | null;
}>;

export type OutboxStatus = Readonly<{
  at: Date;
  shards: readonly ShardStatus[];
  relays: readonly RelayStatus[];
  blocked: readonly BlockedStatus[];
  openLetters: readonly Readonly<{ code: string; count: number }>[];
  /** The oldest of those who hold the horizon for longer than `oldMs`. */
  horizon: Holder | null;
  hangingWriters: readonly Holder[];
  table: Readonly<{ bytes: number; deadRows: number }>;
  /** Ids drawn so far; those of transactions that were rolled back count, too. */
  drawn: number;
}>;

/** Of transactions, before they are worth a line. */
const oldMs = 5000;
const blockedMax = 50;

export const readOutboxStatus = async (sql: Sql): Promise<OutboxStatus> => {
  const [shards, relays, blocked, openLetters, holders, hangingWriters, numbers] =
    await Promise.all([
      readShards(sql),
      readRelays(sql),
      readBlocked(sql),
      readOpenLetters(sql),
      readHolders(sql),
      readHangingWriters(sql),
      readNumbers(sql),
    ]);
  const { at, drawn, ...table } = numbers;
  const horizon = holders[0] ?? null;
  return { at, shards, relays, blocked, openLetters, horizon, hangingWriters, table, drawn };
};

export const readShards = (sql: Sql): Promise<ShardStatus[]> => sql<ShardStatus[]>`
  select s.shard, s.layout, s.epoch::float8 as epoch, s.crashes,
    case when s.deadline >= clock_timestamp() then coalesce(r.name, s.owner::text) end as owner,
    case when s.deadline >= clock_timestamp()
      then (extract(epoch from s.deadline - clock_timestamp()) * 1000)::float8
      end as "leaseLeftMs",
    pending.count as pending,
    (extract(epoch from clock_timestamp() - first.created_at) * 1000)::float8 as "oldestAgeMs"
  from outrider.shards s
  left join outrider.relays r on r.owner = s.owner
  -- Of the index alone; a column that is not in it would be fetched from every row.
  cross join lateral (
    select count(*)::int as count
    from (select from outrider.outbox o where o.shard = s.shard limit ${countMax}) as counted
  ) as pending
  left join lateral (
    select o.created_at from outrider.outbox o where o.shard = s.shard order by o.id limit 1
  ) as first on true
  order by s.shard`;

const readRelays = (sql: Sql): Promise<RelayStatus[]> => sql<RelayStatus[]>`
  select name, started_at as "startedAt", deadline >= clock_timestamp() as "isAlive",
    stats as counts,
    case when deadline >= clock_timestamp() then troubles else '[]' end as troubles
  from outrider.relays order by started_at`;

const readBlocked = async (sql: Sql): Promise<BlockedStatus[]> => {
  const rows = await sql<(Omit<BlockedStatus, "key"> & { key: Buffer })[]>`
    select b.letter_id::float8 as "letterId", b.topic, b.key, d.event_id as "eventId", d.code,
      b.state = 'release' as "isReleasing", b.blocked_at as "blockedAt",
      (
        select count(*)::int from (
          select from outrider.outbox_held h where h.block = b.id and h.id <> b.head_id
          limit ${countMax}
        ) as behind
      ) as waiting
    from outrider.blocked b join outrider.dead_letters d on d.id = b.letter_id
    order by b.id limit ${blockedMax}`;
  return rows.map((row) => ({ ...row, key: row.key.toString("utf8") }));
};

const readOpenLetters = (sql: Sql) => sql<{ code: string; count: number }[]>`
  select code, count(*)::int as count from outrider.dead_letters
  where origin = 'relay' and state = 'open' and handler is null
  group by code order by count desc, code`;

/** The oldest first: by the age of what they keep, in transactions. */
const readHolders = (sql: Sql): Promise<Holder[]> => sql<Holder[]>`
  select kind, name, age_ms as "ageMs", doing from (
    select 'session' as kind, 'pid ' || pid || ' ' || application_name as name,
      age(coalesce(backend_xmin, backend_xid)) as xacts,
      (extract(epoch from clock_timestamp() - xact_start) * 1000)::float8 as age_ms,
      state || ': ' || left(btrim(regexp_replace(query, '\\s+', ' ', 'g')), 60) as doing
    from pg_stat_activity
    where coalesce(backend_xmin, backend_xid) is not null and pid <> pg_backend_pid()
      and backend_type <> 'autovacuum worker'
    union all
    select 'prepared transaction', gid, age(transaction),
      (extract(epoch from clock_timestamp() - prepared) * 1000)::float8, null
    from pg_prepared_xacts
    union all
    select 'replication slot', slot_name, age(least_xmin), null,
      case when active then 'active' else 'nobody reads it' end
    from (
      select slot_name, active,
        case when age(xmin) > age(catalog_xmin) then xmin else coalesce(catalog_xmin, xmin) end
          as least_xmin
      from pg_replication_slots
    ) as slots
    where least_xmin is not null
  ) as holders
  where age_ms is null or age_ms > ${oldMs}
  order by xacts desc, age_ms desc nulls last limit 1`;

const readHangingWriters = (sql: Sql): Promise<Holder[]> => sql<Holder[]>`
  select distinct 'session' as kind, 'pid ' || a.pid || ' ' || a.application_name as name,
    (extract(epoch from clock_timestamp() - a.xact_start) * 1000)::float8 as "ageMs",
    a.state || ': ' || left(btrim(regexp_replace(a.query, '\\s+', ' ', 'g')), 60) as doing
  from pg_locks l join pg_stat_activity a on a.pid = l.pid
  where l.relation = 'outrider.outbox'::regclass and l.mode = 'RowExclusiveLock' and l.granted
    and a.xact_start < clock_timestamp() - ${oldMs} * interval '1 millisecond'
  order by 3 desc limit 10`;

const readNumbers = async (sql: Sql) => {
  const [row] = await sql<{ at: Date; bytes: number; deadRows: number; drawn: number }[]>`
    select clock_timestamp() as at, pg_total_relation_size('outrider.outbox')::float8 as bytes,
      coalesce(pg_stat_get_dead_tuples('outrider.outbox'::regclass), 0)::float8 as "deadRows",
      (select case when is_called then last_value else 0 end::float8 from outrider.outbox_id_seq)
        as drawn`;
  if (!row) throw new Error("no row");
  return row;
};
