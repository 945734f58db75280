/**
 * The guard for writers that do not lock their aggregate's row: a trigger that lets one transaction
 * at a time write events of a key, and draws their ids under that lock.
 */

import type { Sql } from "@outrider/postgres";

export const isGuardOn = async (sql: Sql): Promise<boolean> => {
  const [row] = await sql<{ on: boolean }[]>`
    select tgenabled <> 'D' as on from pg_trigger
    where tgname = 'outbox_lock_key' and tgrelid = 'outrider.outbox'::regclass`;
  return row?.on ?? false;
};

/** How long to wait for writers that are under way; others wait behind this. */
const lockTimeoutMs = 5000;

/** Throws Postgres's own error when transactions that write events do not end in time. */
export const setGuard = async (sql: Sql, isOn: boolean): Promise<void> => {
  await sql.begin(async (tx) => {
    await tx.unsafe(`set local lock_timeout = ${lockTimeoutMs}`);
    const verb = isOn ? "enable" : "disable";
    await tx.unsafe(`alter table outrider.outbox ${verb} trigger outbox_lock_key`);
  });
};
