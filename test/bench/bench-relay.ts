/** `bench relay`: how fast a backlog is drained, against what is possible at all. */

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { testEnvironment } from "../support/environment.ts";
import { fillOutbox } from "./backlog.ts";
import type { OrderResult } from "./order-check.ts";
import { startBenchRelay, timeDrain } from "./relay-process.ts";
import type { BenchStage } from "./stage.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

export type BenchContext = Readonly<{
  stage: BenchStage;
  /** Of the bench's own database. */
  url: string;
  folder: string;
  rounds: number;
  say(line: string): void;
}>;

/** One way to move the backlog, in one round. */
type Sample = Readonly<{
  eventsPerS: number;
  clientCpuS: number;
  postgresCpuS: number;
  kafkaCpuS: number;
  walBytes: number;
  rssBytes: number;
}>;

export type RelayBench = Readonly<{
  events: number;
  keys: number;
  rounds: number;
  ways: Readonly<Record<string, Readonly<Record<keyof Sample, Spread>>>>;
  /** Of rates, within a round. */
  ratios: Readonly<Record<string, Spread>>;
  checked: readonly OrderResult[];
}>;

const partitions = 12;

const createTopic = async ({ stage }: BenchContext): Promise<string> => {
  const name = `bench-${randomUUID()}`;
  const topics = [defineTopic({ name, partitions })];
  await applyTopics(stage, { topics, profile: "dev" });
  return name;
};

/** Runs a child on Node and gives what it printed. */
const runChild = <T>(
  { stage, url }: BenchContext,
  file: string,
  args: readonly (string | number)[],
): T => {
  const { bootstrapServers, nodePath } = stage;
  const result = spawnSync(nodePath, [join(import.meta.dirname, file), ...args.map(String)], {
    env: { ...testEnvironment(), DATABASE_URL: url, KAFKA_BOOTSTRAP_SERVERS: bootstrapServers },
    encoding: "utf8",
    timeout: 300_000,
  });
  if (result.status !== 0) throw new Error(`${file} failed: ${result.stderr}`);
  return JSON.parse(result.stdout.trim().split("\n").at(-1) ?? "") as T;
};

type Load = Readonly<{ events: number; keys: number }>;

export const benchRelay = async (context: BenchContext, load: Load): Promise<RelayBench> => {
  const sql = connect({ url: context.url, name: "bench", poolMax: 2 });
  const samples: Record<string, Sample[]> = {};
  const checked: OrderResult[] = [];
  const add = (way: string, sample: Sample) => {
    (samples[way] ??= []).push(sample);
    context.say(`  ${way.padEnd(9)} ${Math.round(sample.eventsPerS).toLocaleString("en-US")}/s`);
  };
  try {
    for (let round = 1; round <= context.rounds; round += 1) {
      context.say(`round ${round} of ${context.rounds}`);
      const bound = (way: string, topic: string) =>
        measureBound(context, sql, { way, topic, ...load });
      add("R0", await bound("r0", await createTopic(context)));
      await fillOutbox(sql, { topic: "bench-none", ...load });
      add("R1", await bound("r1", "bench-none"));
      add("R2", await bound("r2", await createTopic(context)));
      for (const relays of [1, 3]) {
        const topic = await createTopic(context);
        await fillOutbox(sql, { topic, ...load });
        add(
          `${relays} relay${relays > 1 ? "s" : ""}`,
          await measureRelays(context, sql, { relays, ...load }),
        );
        checked.push(runChild<OrderResult>(context, "verify.node-child.ts", [topic, load.events]));
      }
    }
  } finally {
    await sql.end();
  }
  return { ...load, rounds: context.rounds, ...summarize(samples), checked };
};

type Before = Readonly<{ postgres: number; kafka: number; wal: string }>;

const walNow = async (sql: Sql): Promise<string> => {
  const [row] = await sql`select pg_current_wal_lsn()::text as lsn`;
  return row?.lsn;
};

const costs = async ({ stage }: BenchContext, sql: Sql, before: Before) => {
  const { postgres, kafka } = stage.cpu();
  const [row] = await sql`
    select pg_wal_lsn_diff(pg_current_wal_lsn(), ${before.wal}::pg_lsn)::float8 as bytes`;
  return {
    postgresCpuS: postgres - before.postgres,
    kafkaCpuS: kafka - before.kafka,
    walBytes: row?.bytes,
  };
};

const measureBound = async (
  context: BenchContext,
  sql: Sql,
  { way, topic, events, keys }: Load & Readonly<{ way: string; topic: string }>,
): Promise<Sample> => {
  const before = { ...context.stage.cpu(), wal: await walNow(sql) };
  const { ms, cpuS } = runChild<{ ms: number; cpuS: number }>(context, "bounds.node-child.ts", [
    way,
    topic,
    events,
    keys,
  ]);
  const rest = await costs(context, sql, before);
  return { eventsPerS: (events / ms) * 1000, clientCpuS: cpuS, rssBytes: 0, ...rest };
};

const measureRelays = async (
  context: BenchContext,
  sql: Sql,
  { relays, events }: Load & Readonly<{ relays: number }>,
): Promise<Sample> => {
  const before = { ...context.stage.cpu(), wal: await walNow(sql) };
  const options = { folder: context.folder, url: context.url, waitReady: false };
  const started = await Promise.all(
    Array.from({ length: relays }, () => startBenchRelay(context.stage, options)),
  );
  try {
    const ms = await timeDrain(sql);
    const rest = await costs(context, sql, before);
    return {
      eventsPerS: (events / ms) * 1000,
      clientCpuS: started.reduce((sum, relay) => sum + relay.cpuS(), 0),
      rssBytes: Math.max(...started.map((relay) => relay.rssMax())),
      ...rest,
    };
  } finally {
    await Promise.all(started.map((relay) => relay.stop()));
  }
};

const fields = [
  "eventsPerS",
  "clientCpuS",
  "postgresCpuS",
  "kafkaCpuS",
  "walBytes",
  "rssBytes",
] as const satisfies (keyof Sample)[];

const summarize = (samples: Readonly<Record<string, readonly Sample[]>>) => {
  const ways = Object.fromEntries(
    Object.entries(samples).map(([way, all]) => [
      way,
      Object.fromEntries(fields.map((field) => [field, spreadOf(all.map((one) => one[field]))])),
    ]),
  ) as RelayBench["ways"];
  const ratio = (way: string, to: string) =>
    spreadOf(
      (samples[way] ?? []).map(
        (one, round) => one.eventsPerS / (samples[to]?.[round]?.eventsPerS ?? NaN),
      ),
    );
  return {
    ways,
    ratios: {
      "1 relay / R2": ratio("1 relay", "R2"),
      "3 relays / 1 relay": ratio("3 relays", "1 relay"),
      "R2 / R0": ratio("R2", "R0"),
    },
  };
};
