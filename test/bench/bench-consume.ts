/**
 * `bench consume`: how fast handlers handle what is in a topic, against what is possible at all.
 * A speed of ours counts only when every event was handled once and in order.
 */

import { randomUUID } from "node:crypto";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { measureChild, ratioOf, runChild, spreadsOf } from "./sample.ts";
import type { BenchContext, ChildResult, Sample, SampleSpreads } from "./sample.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";
import { checkTotals, prepareTotals } from "./totals.ts";

export type ConsumeBench = Readonly<{
  events: number;
  keys: number;
  partitions: number;
  rounds: number;
  ways: Readonly<Record<string, SampleSpreads>>;
  /** Of rates, within a round. */
  ratios: Readonly<Record<string, Spread>>;
  /** Median of the events of a transaction, or of a fetch. */
  batches: Readonly<Record<string, Spread>>;
}>;

const partitions = 12;
const ways = ["C0", "C1", "C2", "batch", "single", "drizzle"] as const;
type Way = (typeof ways)[number];
const ours: readonly Way[] = ["batch", "single", "drizzle"];

export const benchConsume = async (
  context: BenchContext,
  { events, keys }: Readonly<{ events: number; keys: number }>,
): Promise<ConsumeBench> => {
  const { stage, url, rounds, say } = context;
  const topic = `bench-${randomUUID()}`;
  await applyTopics(stage, { topics: [defineTopic({ name: topic, partitions })], profile: "dev" });
  say(`filling a topic with ${events.toLocaleString("en-US")} events`);
  runChild(context, { file: "fill.node-child.ts", args: [topic, events, keys] });
  const sql = connect({ url, name: "bench", poolMax: 2 });
  const samples: Record<string, Sample[]> = {};
  const sizes: Record<string, number[]> = {};
  try {
    for (let round = 1; round <= rounds; round += 1) {
      say(`round ${round} of ${rounds}`);
      for (const way of ways) {
        const { sample, result } = await measure(context, sql, { way, topic, events });
        (samples[way] ??= []).push(sample);
        (sizes[way] ??= []).push(result.batchP50);
        say(`  ${way.padEnd(8)} ${Math.round(sample.eventsPerS).toLocaleString("en-US")}/s`);
      }
    }
    await sql`drop table public.bench_totals`;
    await sql`truncate outrider.inbox`;
  } finally {
    await sql.end();
  }
  const ratios = Object.fromEntries(
    [
      ["batch", "C2"],
      ["batch", "C1"],
      ["batch", "C0"],
      ["single", "batch"],
      ["single", "drizzle"],
      ["C1", "C0"],
    ].map(([way = "", to = ""]) => [`${way} / ${to}`, ratioOf(samples, way, to)]),
  );
  const batches = Object.fromEntries(
    Object.entries(sizes).map(([way, all]) => [way, spreadOf(all)]),
  );
  return { events, keys, partitions, rounds, ways: spreadsOf(samples), ratios, batches };
};

/** A group and a handler that nobody has heard of read the topic from its beginning. */
const measure = async (
  context: BenchContext,
  sql: Sql,
  { way, topic, events }: Readonly<{ way: Way; topic: string; events: number }>,
) => {
  const name = `bench-${way}-${randomUUID()}`;
  await prepareTotals(sql);
  const spec = { file: "consume.node-child.ts", args: [way, topic, name, events] };
  const measured = await measureChild<ChildResult & Readonly<{ batchP50: number }>>(
    context,
    sql,
    spec,
  );
  if (ours.includes(way)) await checkTotals(sql, events, name);
  return measured;
};
