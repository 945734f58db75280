/**
 * The effect of handlers under measurement: a row per key that counts its events, and how many of
 * them did not follow the one before. Handled once and in order, the sum is exact and none did.
 */

import { defineEvent } from "@outrider/event";
import type { EventOf } from "@outrider/event";
import type { Sql, Transaction, TransactionSql } from "@outrider/postgres";
import { sql as query } from "drizzle-orm";
import * as v from "valibot";

/** What `fill.node-child.ts` writes: the n-th event of its key. */
export const defineCounted = (topic: string) =>
  defineEvent({
    type: "bench.counted",
    version: 1,
    source: "bench",
    category: "domain",
    topic,
    data: v.object({ key: v.string(), n: v.number(), text: v.string() }),
    key: (counted) => counted.key,
  });

export type Counted = EventOf<ReturnType<typeof defineCounted>>;
type Data = Counted["data"];

export const prepareTotals = async (sql: Sql): Promise<void> => {
  await sql`drop table if exists public.bench_totals`;
  await sql`
    create table public.bench_totals (
      key text primary key, events int not null, first int not null, last int not null,
      misplaced int not null
    )`;
  await sql`truncate outrider.inbox`;
  // So that what came before is not written down while the next one is measured.
  await sql`checkpoint`;
};

/** What a run adds to a key. */
type Change = { key: string; events: number; first: number; last: number; gaps: number };

/** A change per key, sorted, so that two transactions cannot deadlock. */
const sumChanges = (counted: readonly Data[]): Change[] => {
  const changes = new Map<string, Change>();
  for (const { key, n } of counted) {
    const known = changes.get(key);
    if (!known) {
      changes.set(key, { key, events: 1, first: n, last: n, gaps: 0 });
      continue;
    }
    known.events += 1;
    known.gaps += n === known.last + 1 ? 0 : 1;
    known.last = n;
  }
  return [...changes.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
};

/** All events of a run in one statement, a row per key. */
export const addTotals = async (tx: TransactionSql, counted: readonly Data[]): Promise<void> => {
  const changes = sumChanges(counted);
  const column = <K extends keyof Change>(name: K) => changes.map((one) => one[name]);
  await tx`
    insert into public.bench_totals as t (key, events, first, last, misplaced)
    select key, events, first, last, gaps + (first <> 1)::int
    from unnest(${column("key")}::text[], ${column("events")}::int[], ${column("first")}::int[],
      ${column("last")}::int[], ${column("gaps")}::int[]) as run (key, events, first, last, gaps)
    on conflict (key) do update
    set events = t.events + excluded.events, first = excluded.first, last = excluded.last,
      misplaced = t.misplaced + excluded.misplaced - (excluded.first <> 1)::int
        + (excluded.first <> t.last + 1)::int`;
};

/** One event in one statement, through drizzle, as most handlers are written. */
export const addOne = async (tx: Transaction, { key, n }: Data): Promise<void> => {
  await tx.execute(query`
    insert into public.bench_totals as t (key, events, first, last, misplaced)
    values (${key}, 1, ${n}, ${n}, (${n}::int <> 1)::int)
    on conflict (key) do update
    set events = t.events + 1, first = excluded.first, last = excluded.last,
      misplaced = t.misplaced + (excluded.first <> t.last + 1)::int`);
};

/** The same statement as `addOne`, straight to the driver, which prepares it once. */
export const addOneRaw = async (tx: TransactionSql, { key, n }: Data): Promise<void> => {
  await tx`
    insert into public.bench_totals as t (key, events, first, last, misplaced)
    values (${key}, 1, ${n}, ${n}, (${n}::int <> 1)::int)
    on conflict (key) do update
    set events = t.events + 1, first = excluded.first, last = excluded.last,
      misplaced = t.misplaced + (excluded.first <> t.last + 1)::int`;
};

/** As `checkTotals`, of all keys but some, and without the inbox. */
export const checkKeys = async (
  sql: Sql,
  { events, except }: Readonly<{ events: number; except: readonly string[] }>,
): Promise<void> => {
  const [found] = await sql<{ events: number; misplaced: number }[]>`
    select coalesce(sum(events), 0)::int as events, coalesce(sum(misplaced), 0)::int as misplaced
    from public.bench_totals where key <> all(${[...except]}::text[])`;
  if (found?.events === events && found.misplaced === 0) return;
  throw new Error(`Not once and in order: ${JSON.stringify(found)} of ${events} events`);
};

/** Throws when the effect is not that of `events` events, each handled once and in order. */
export const checkTotals = async (sql: Sql, events: number, handler?: string): Promise<void> => {
  const [totals] = await sql`
    select coalesce(sum(events), 0)::int as events, coalesce(sum(misplaced), 0)::int as misplaced
    from public.bench_totals`;
  const [inbox] = await sql`
    select count(*)::int as rows, (count(*) filter (where state = 'handled'))::int as handled
    from outrider.inbox where handler = coalesce(${handler ?? null}, handler)`;
  const found = { ...totals, ...inbox };
  const expected = { events, misplaced: 0, rows: events, handled: events };
  if (JSON.stringify(found) === JSON.stringify(expected)) return;
  throw new Error(`Not once and in order: ${JSON.stringify(found)} of ${events} events`);
};
