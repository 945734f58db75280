/** `bench relay`: how fast a backlog is drained, against what is possible at all. */

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { cpSync } from "node:fs";
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

/** One way to move the backlog, in one round; CPU and WAL are for a million events. */
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
  /** The peer's backlog is smaller, since it looks through all of it for each batch. */
  peer?: Load;
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

const peerMax: Load = { events: 20_000, keys: 1000 };

/** The peer's packages are no part of the project: they are installed for the measurement. */
const installPeer = (folder: string): string => {
  const cwd = join(folder, "peer");
  cpSync(join(import.meta.dirname, "peer"), cwd, { recursive: true });
  const args = ["install", "--frozen-lockfile", "--ignore-scripts"];
  const result = spawnSync(process.execPath, args, { cwd, encoding: "utf8", timeout: 120_000 });
  if (result.status !== 0) throw new Error(`The peer cannot be installed: ${result.stderr}`);
  return cwd;
};

export const benchRelay = async (
  context: BenchContext,
  { hasPeer, ...load }: Load & Readonly<{ hasPeer: boolean }>,
): Promise<RelayBench> => {
  const peerFolder = hasPeer && installPeer(context.folder);
  const peer = {
    events: Math.min(peerMax.events, load.events),
    keys: Math.min(peerMax.keys, load.keys),
  };
  const sql = connect({ url: context.url, name: "bench", poolMax: 2 });
  const samples: Record<string, Sample[]> = {};
  const checked: OrderResult[] = [];
  const add = (way: string, sample: Sample) => {
    (samples[way] ??= []).push(sample);
    context.say(`  ${way.padEnd(9)} ${Math.round(sample.eventsPerS).toLocaleString("en-US")}/s`);
  };
  const check = (topic: string, events: number) =>
    checked.push(runChild<OrderResult>(context, "verify.node-child.ts", [topic, events]));
  try {
    for (let round = 1; round <= context.rounds; round += 1) {
      context.say(`round ${round} of ${context.rounds}`);
      const bound = (way: string, topic: string) =>
        measureChild(context, sql, {
          file: "bounds.node-child.ts",
          args: [way, topic, load.events, load.keys],
        });
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
        check(topic, load.events);
      }
      if (!peerFolder) continue;
      const peerTopic = await createTopic(context);
      const args = [peerFolder, peerTopic, peer.events, peer.keys];
      add("peer", await measureChild(context, sql, { file: "peer.node-child.ts", args }));
      check(peerTopic, peer.events);
    }
  } finally {
    await sql.end();
  }
  const { rounds } = context;
  return { ...load, ...(hasPeer && { peer }), rounds, ...summarize(samples), checked };
};

type Before = Readonly<{ postgres: number; kafka: number; wal: string }>;

const walNow = async (sql: Sql): Promise<string> => {
  const [row] = await sql`select pg_current_wal_lsn()::text as lsn`;
  return row?.lsn;
};

type Costs = Omit<Sample, "eventsPerS" | "rssBytes">;

const perMillion = (events: number, costs: Costs): Costs => {
  const of = (value: number) => (value / events) * 1e6;
  return {
    clientCpuS: of(costs.clientCpuS),
    postgresCpuS: of(costs.postgresCpuS),
    kafkaCpuS: of(costs.kafkaCpuS),
    walBytes: of(costs.walBytes),
  };
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

type ChildSpec = Readonly<{ file: string; args: readonly (string | number)[] }>;

const measureChild = async (
  context: BenchContext,
  sql: Sql,
  { file, args }: ChildSpec,
): Promise<Sample> => {
  const before = { ...context.stage.cpu(), wal: await walNow(sql) };
  const child = runChild<{ events: number; ms: number; cpuS: number }>(context, file, args);
  const rest = perMillion(child.events, {
    clientCpuS: child.cpuS,
    ...(await costs(context, sql, before)),
  });
  return { eventsPerS: (child.events / child.ms) * 1000, rssBytes: 0, ...rest };
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
    const rest = perMillion(events, {
      clientCpuS: started.reduce((sum, relay) => sum + relay.cpuS(), 0),
      ...(await costs(context, sql, before)),
    });
    return {
      eventsPerS: (events / ms) * 1000,
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
      ...(samples.peer && { "1 relay / peer": ratio("1 relay", "peer") }),
      "3 relays / 1 relay": ratio("3 relays", "1 relay"),
      "R2 / R0": ratio("R2", "R0"),
    },
  };
};
