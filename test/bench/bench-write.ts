/**
 * `bench write`: transactions with one domain row and one event, from a Hono app on Bun, against
 * pgbench with the same SQL, and against the driver with the same SQL and nothing else.
 */

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createOutbox } from "@outrider/outbox";
import { connect, connectDatabase, rawSql } from "@outrider/postgres";
import { Hono } from "hono";
import { countedOn } from "../support/counted.ts";
import type { BenchContext } from "./sample.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

export type WriteBench = Readonly<{
  seconds: number;
  clients: readonly Readonly<{
    clients: number;
    ours: Spread;
    driver: Spread;
    pgbench: Spread;
    /** Ours to pgbench, and ours to the driver. */
    ratio: Spread;
    ratioToDriver: Spread;
  }>[];
}>;

const table = `
  drop table if exists public.bench_orders;
  create table public.bench_orders (id uuid primary key, body text not null)`;

/** As `transact` sends it, but with the driver's and the app's work left out. */
const script = `
begin;
insert into public.bench_orders values (gen_random_uuid(), 'an order of some length');
insert into outrider.outbox (event_id, type, version, sequence, topic, key, headers, payload)
select gen_random_uuid(), 'test.counted', 1, 1, 'bench', 'key', '{"ce_source":"test"}',
  '{"key":"key","n":1}';
commit;
`;

/** Throws when there is no pgbench. */
const runPgbench = (url: string, { folder, ...load }: Load): number => {
  const file = join(folder, "write.sql");
  writeFileSync(file, script);
  const args = ["-n", "-M", "prepared", "-f", file, "-c", String(load.clients), "-j", "2"];
  const result = spawnSync("pgbench", [...args, "-T", String(load.seconds), url], {
    encoding: "utf8",
  });
  const rate = /tps = ([\d.]+) \(without/.exec(result.stdout ?? "")?.[1];
  if (!rate)
    throw new Error("pgbench is needed for this bench: apt-get install postgresql-contrib");
  return Number(rate);
};

type Load = Readonly<{ clients: number; seconds: number; folder: string }>;

const createApp = (url: string, clients: number) => {
  const db = connectDatabase({ url, name: "bench-app", poolMax: clients });
  const { catalogue, count } = countedOn("bench");
  const outbox = createOutbox(catalogue);
  const app = new Hono().post("/orders", async (c) => {
    const { body } = await c.req.json<{ body: string }>();
    const id = randomUUID();
    await outbox.transact(db, async (tx, emit) => {
      await rawSql(tx)`insert into public.bench_orders values (${id}, ${body})`;
      emit(count(id, 1));
    });
    return c.json({ id }, 201);
  });
  return { app, end: () => db.$client.end() };
};

/** Requests a second. */
const runOurs = async (url: string, load: Load): Promise<number> => {
  const { app, end } = createApp(url, load.clients);
  const body = JSON.stringify({ body: "an order of some length" });
  const headers = { "content-type": "application/json" };
  const rate = await repeat(load, async () => {
    const answer = await app.request("/orders", { method: "POST", headers, body });
    if (answer.status !== 201) throw new Error(`answer ${answer.status}`);
  });
  await end();
  return rate;
};

/** Transactions a second of postgres.js alone, with COMMIT right behind the last statement, too. */
const runDriver = async (url: string, load: Load): Promise<number> => {
  const sql = connect({ url, name: "bench-driver", poolMax: load.clients });
  const rate = await repeat(load, async () => {
    let last: Promise<unknown> | undefined;
    await sql.begin(async (tx) => {
      await tx`
        insert into public.bench_orders values (${randomUUID()}, 'an order of some length')`;
      last = tx`
        insert into outrider.outbox
          (event_id, type, version, sequence, topic, key, headers, payload)
        values (${randomUUID()}, 'test.counted', 1, 1, 'bench', 'key', '{"ce_source":"test"}',
          '{"key":"key","n":1}')`.execute();
      last.catch(() => {});
    });
    await last;
  });
  await sql.end();
  return rate;
};

/** Returns how often `act` was done a second, with so many under way at a time. */
const repeat = async ({ clients, seconds }: Load, act: () => Promise<unknown>): Promise<number> => {
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  let done = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await act();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return (done / (performance.now() - startedMs)) * 1000;
};

export const benchWrite = async (
  { url, folder, rounds, say }: BenchContext,
  { clients, seconds }: Readonly<{ clients: readonly number[]; seconds: number }>,
): Promise<WriteBench> => {
  const sql = connect({ url, name: "bench", poolMax: 1 });
  const results: WriteBench["clients"][number][] = [];
  const ways = { ours: runOurs, driver: runDriver, pgbench: runPgbench };
  try {
    await sql.unsafe(table);
    for (const count of clients) {
      const rates: Record<keyof typeof ways, number[]> = { ours: [], driver: [], pgbench: [] };
      for (let round = 0; round < rounds; round += 1) {
        for (const [way, run] of Object.entries(ways)) {
          await sql`truncate outrider.outbox, public.bench_orders`;
          const load = { clients: count, seconds, folder };
          rates[way as keyof typeof ways].push(await run(url, load));
        }
      }
      const ratioTo = (base: readonly number[]) =>
        spreadOf(rates.ours.map((rate, at) => rate / (base[at] ?? NaN)));
      const [ratio, ratioToDriver] = [ratioTo(rates.pgbench), ratioTo(rates.driver)];
      const [ours, driver, pgbench] = [rates.ours, rates.driver, rates.pgbench].map(spreadOf) as [
        Spread,
        Spread,
        Spread,
      ];
      results.push({ clients: count, ours, driver, pgbench, ratio, ratioToDriver });
      say(
        `  ${count} clients: ${ratio.median.toFixed(2)} of pgbench, ` +
          `${ratioToDriver.median.toFixed(2)} of the driver`,
      );
    }
    await sql`truncate outrider.outbox`;
  } finally {
    await sql.end();
  }
  return { seconds, clients: results };
};
