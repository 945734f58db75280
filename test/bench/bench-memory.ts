/**
 * `bench memory`: the most memory that a relay takes while a small backlog is kept at its size,
 * and while it works on a huge one, for equally long.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { fillOutbox } from "./backlog.ts";
import type { BenchContext } from "./sample.ts";
import { startLoad } from "./load.ts";
import { startBenchRelay } from "./relay-process.ts";

export type MemorySample = Readonly<{
  waiting: number;
  published: number;
  rssMiB: number;
}>;

export type MemoryBench = Readonly<{ seconds: number; samples: readonly MemorySample[] }>;

const small = 10_000;

export const benchMemory = async (
  context: BenchContext,
  { events, seconds }: Readonly<{ events: number; seconds: number }>,
): Promise<MemoryBench> => {
  const { stage, url, say } = context;
  const name = `bench-${randomUUID()}`;
  await applyTopics(stage, { topics: [defineTopic({ name, partitions: 12 })], profile: "dev" });
  const sql = connect({ url, name: "bench", poolMax: 3 });
  const samples: MemorySample[] = [];
  try {
    for (const waiting of [small, events]) {
      say(`filling the outbox with ${waiting.toLocaleString("en-US")} events`);
      await fillOutbox(sql, { topic: name, events: waiting, keys: Math.min(100_000, waiting) });
      const sample = await measure(context, sql, { topic: name, waiting, seconds });
      samples.push(sample);
      say(`  ${sample.published.toLocaleString("en-US")} published, ${sample.rssMiB} MiB`);
    }
  } finally {
    await sql.end();
  }
  return { seconds, samples };
};

const measure = async (
  { stage, url, folder }: BenchContext,
  sql: Sql,
  { topic, waiting, seconds }: Readonly<{ topic: string; waiting: number; seconds: number }>,
): Promise<MemorySample> => {
  const relay = await startBenchRelay(stage, { folder, url, waitReady: false });
  const keepUp = async (): Promise<number> => waiting - (await countWaiting(sql));
  // The huge backlog outlasts the measurement by itself, and counting it would be work.
  const load = waiting === small ? startLoad(sql, topic, keepUp) : undefined;
  try {
    await delay(seconds * 1000);
    const written = (load?.written() ?? 0) + waiting;
    const rssMiB = Math.round(relay.rssMax() / 1024 / 1024);
    await load?.stop();
    await relay.stop();
    return { waiting, published: written - (await countWaiting(sql)), rssMiB };
  } finally {
    await Promise.all([load?.stop(), relay.stop()]);
  }
};

const countWaiting = async (sql: Sql): Promise<number> => {
  const [row] = await sql`select count(*)::float8 as waiting from outrider.outbox`;
  return row?.waiting;
};
