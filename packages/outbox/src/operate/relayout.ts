/**
 * Another number of shards. It moves keys between owners, so it is one transaction that no relay
 * and no writer can overlap: afterwards nobody owns a shard, every epoch is new, and statements
 * under an old lease find nothing. Relays that run take the new shards as they find them.
 * In the exactly-once mode to come, the shards have to be drained first.
 */

import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { shardsChannel } from "../relay/lease.ts";

/** A byte of the hash says the shard. */
export const shardsMax = 256;

export type RelayoutOptions = Readonly<{
  shards: number;
  /** How long writers may have to wait behind this at a time, milliseconds. */
  lockTimeoutMs?: number;
  triesMax?: number;
  /** A try has failed, since these sessions are in the way. */
  onBusy?(sessions: readonly string[]): void;
}>;

export type Layout = Readonly<{ layout: number; shards: number }>;

/** Between two looks whether the statements under way have ended. */
const pauseMs = 10;

const lockNotAvailable = "55P03";

/** No lock in time, and a deadlock among writers that this one has waited behind. */
const busyStates: readonly unknown[] = [lockNotAvailable, "40P01"];

/**
 * Returns what is in force then; nothing is done when it is already. Throws `invalid` for a number
 * that is no power of two up to 256, and `conflict` when transactions that write events do not
 * end: they are named.
 */
export const relayout = async (sql: Sql, options: RelayoutOptions): Promise<Layout> => {
  const { shards, lockTimeoutMs = 2000, triesMax = 30, onBusy } = options;
  if (!Number.isInteger(Math.log2(shards)) || shards > shardsMax) {
    throw fault("invalid", `The number of shards is a power of two up to ${shardsMax}`);
  }
  let sessions: string[] = [];
  for (let tries = 0; tries < triesMax; tries += 1) {
    try {
      return await change(sql, { shards, lockTimeoutMs });
    } catch (error) {
      if (!busyStates.includes(codeOf(error))) throw error;
      sessions = await findWriters(sql);
      onBusy?.(sessions);
    }
  }
  const who = sessions.join("; ") || "their sessions have ended by now";
  throw fault("conflict", `Transactions that write events do not end: ${who}`);
};

const change = (
  sql: Sql,
  { shards, lockTimeoutMs }: Readonly<{ shards: number; lockTimeoutMs: number }>,
): Promise<Layout> =>
  sql.begin(async (tx) => {
    await lockAll(tx, lockTimeoutMs);
    const [now] = await tx<{ layout: number; shards: number; epoch: string }[]>`
      select max(layout) as layout, count(*)::int as shards, max(epoch) as epoch
      from outrider.shards`;
    if (!now) throw fault("internal", "There are no shards");
    if (now.shards === shards) return { layout: now.layout, shards };
    for (const table of ["outbox", "blocked"]) {
      await tx.unsafe(`
        alter table outrider.${table} drop column shard;
        alter table outrider.${table} add column shard smallint not null
          generated always as ((get_byte(sha256(key), 0) & ${shards - 1})::smallint) stored`);
    }
    await tx`create unique index outbox_shard_id on outrider.outbox (shard, id)`;
    await tx`create index blocked_shard on outrider.blocked (shard)`;
    await tx`delete from outrider.shards`;
    await tx`
      insert into outrider.shards (shard, layout, epoch)
      select shard, ${now.layout + 1}, ${now.epoch}::bigint + 1
      from generate_series(0, ${shards - 1}) as shard`;
    await tx`select pg_notify(${shardsChannel}, '')`;
    return { layout: now.layout + 1, shards };
  }) as Promise<Layout>;

/**
 * Passes lock these tables in several orders: a statement that is planned anew in another one than
 * a plan that is kept. So nothing is waited for while something is held, and no order makes a
 * deadlock: only the first lock is waited for, and the rest is taken at once or given up again,
 * until what is under way has ended. What of the shards is locked is their rows: their table is
 * held by every pass that waits for the outbox, and those go on when this is over.
 */
const lockAll = async (tx: TransactionSql, lockTimeoutMs: number): Promise<void> => {
  await tx.unsafe(`set local lock_timeout = ${lockTimeoutMs}`);
  await tx`lock table outrider.outbox in access exclusive mode`;
  for (let waitedMs = 0; ; waitedMs += pauseMs) {
    try {
      await tx.savepoint(async (inner) => {
        await inner`lock table outrider.blocked in access exclusive mode nowait`;
        await inner`select from outrider.shards for update nowait`;
      });
      return;
    } catch (error) {
      if (codeOf(error) !== lockNotAvailable || waitedMs >= lockTimeoutMs) throw error;
      await delay(pauseMs);
    }
  }
};

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

/** Sessions with an open transaction that has written to the outbox. */
const findWriters = async (sql: Sql): Promise<string[]> => {
  const rows = await sql<{ pid: number; name: string; age_s: number }[]>`
    select distinct a.pid, a.application_name as name,
      extract(epoch from clock_timestamp() - a.xact_start)::int as age_s
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.relation = 'outrider.outbox'::regclass and l.mode = 'RowExclusiveLock' and l.granted`;
  return rows.map((row) => `pid ${row.pid} (${row.name || "unnamed"}), open for ${row.age_s} s`);
};
