/**
 * `bench horizon`: a session holds a snapshot while events come and go, so that no removed row can
 * be vacuumed away. A burst is drained each minute: that must not take longer as the table grows.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import type { BenchContext } from "./sample.ts";
import { atRate, insertEvents, startLoad } from "./load.ts";
import { startBenchRelay } from "./relay-process.ts";

export type HorizonSample = Readonly<{
  minute: number;
  isHeld: boolean;
  /** Since the beginning; while the snapshot is held, none of them can be vacuumed away. */
  written: number;
  tableMiB: number;
  /** From the commit of a burst to the removal of its last row, beside the steady load. */
  burstMs: number;
}>;

export type HorizonBench = Readonly<{
  minutes: number;
  eventsPerS: number;
  burst: number;
  samples: readonly HorizonSample[];
}>;

const burst = 20_000;
const shardCount = 8;
const pollMs = 20;
const warmUpMs = 20_000;
const minuteMs = 60_000;

export const benchHorizon = async (
  { stage, folder, url, say }: BenchContext,
  { minutes, eventsPerS }: Readonly<{ minutes: number; eventsPerS: number }>,
): Promise<HorizonBench> => {
  const name = `bench-${randomUUID()}`;
  await applyTopics(stage, { topics: [defineTopic({ name, partitions: 12 })], profile: "dev" });
  const sql = connect({ url, name: "bench", poolMax: 4 });
  const relay = await startBenchRelay(stage, { folder, url, waitReady: true });
  const load = startLoad(sql, name, atRate(eventsPerS));
  const samples: HorizonSample[] = [];
  const sample = async (minute: number, isHeld: boolean): Promise<void> => {
    const burstMs = Math.round(await drainBurst(sql, name));
    const [row] = await sql`select pg_total_relation_size('outrider.outbox')::float8 as bytes`;
    const tableMiB = Math.round(row?.bytes / 1024 / 1024);
    samples.push({ minute, isHeld, written: load.written() + burst, tableMiB, burstMs });
    const state = isHeld ? "held" : "free";
    say(`  minute ${minute}, snapshot ${state}: burst ${burstMs} ms, table ${tableMiB} MiB`);
  };
  const holder = await sql.reserve();
  try {
    await delay(warmUpMs);
    await sample(0, false);
    // The driver's own sessions are ended when they idle in a transaction; this one must not be.
    await holder`set idle_in_transaction_session_timeout = 0`;
    await holder`set transaction_timeout = 0`;
    await holder`begin isolation level repeatable read`;
    await holder`select count(*) from outrider.outbox`;
    for (let minute = 1; minute <= minutes; minute += 1) {
      await delay(minuteMs);
      await sample(minute, true);
    }
    await holder`commit`;
    await delay(minuteMs);
    await sample(minutes + 1, false);
  } finally {
    holder.release();
    await load.stop();
    await relay.stop();
    await sql.end();
  }
  return { minutes, eventsPerS, burst, samples };
};

/** Time until no shard has a row of the burst, ms. */
const drainBurst = async (sql: Sql, topic: string): Promise<number> => {
  const before = await lastId(sql);
  await insertEvents(sql, topic, burst);
  const startedMs = performance.now();
  const after = await lastId(sql);
  for (;;) {
    // Only the burst's own ids: what was removed before it is not to be looked over again.
    const [row] = await sql`
      select exists (
        select from generate_series(0, ${shardCount - 1}::int) as shard cross join lateral (
          select from outrider.outbox o
          where o.shard = shard and o.id > ${before} and o.id <= ${after} order by id limit 1
        ) as first
      ) as waits`;
    if (!row?.waits) return performance.now() - startedMs;
    await delay(pollMs);
  }
};

const lastId = async (sql: Sql): Promise<number> => {
  const [row] = await sql`select last_value::float8 as id from outrider.outbox_id_seq`;
  return row?.id;
};
