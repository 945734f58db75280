/**
 * Heads that a redrive has made: their keys had gone on, so a worker may be running a later event
 * of such a key in a transaction that began before the head was there. Once all transactions are
 * over that held the lock which every writer of the inbox takes, nobody is.
 */

import type { Sql } from "@outrider/postgres";

export type FreshHeads = Readonly<{
  /** Call it again and again; it looks when it is time to. */
  look(): Promise<void>;
}>;

export const createFreshHeads = (
  sql: Sql,
  handlers: readonly string[],
  pollMs: number,
): FreshHeads => {
  let nextMs = 0;
  /** By head: the transactions that are still to end. */
  const awaited = new Map<string, Set<string>>();

  const look = async (): Promise<void> => {
    if (performance.now() < nextMs) return;
    nextMs = performance.now() + pollMs;
    const heads = await sql<{ id: string }[]>`
      select id from outrider.parked_heads where handler = any(${handlers}::text[]) and fresh`;
    if (heads.length === 0) return awaited.clear();
    // Read after the heads were seen: who is not among these has seen them, too, or is over.
    const writers = await readInboxWriters(sql);
    for (const { id } of heads) {
      const known = awaited.get(id);
      if (!known) awaited.set(id, new Set(writers));
      for (const writer of known ?? []) if (!writers.has(writer)) known?.delete(writer);
    }
    const over = [...awaited].filter(([, left]) => left.size === 0).map(([id]) => id);
    for (const id of over) awaited.delete(id);
    await sql`
      update outrider.parked_heads set fresh = false
      where id in (
        select id from outrider.parked_heads where id = any(${over}::bigint[])
        order by handler, topic, key for update)`;
  };

  return { look };
};

const readInboxWriters = async (sql: Sql): Promise<Set<string>> => {
  const rows = await sql<{ writer: string }[]>`
    select distinct virtualtransaction as writer from pg_locks
    where locktype = 'relation' and relation = 'outrider.inbox'::regclass
      and database = (select oid from pg_database where datname = current_database())
      and mode = 'RowExclusiveLock' and granted`;
  return new Set(rows.map((row) => row.writer));
};
