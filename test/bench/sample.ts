/** What one way of moving events costs: a child process on Node, and the services beside it. */

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import type { Sql } from "@outrider/postgres";
import { testEnvironment } from "../support/environment.ts";
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

/** One way to move events, in one round; CPU and WAL are for a million events. */
export type Sample = Readonly<{
  eventsPerS: number;
  clientCpuS: number;
  postgresCpuS: number;
  kafkaCpuS: number;
  walBytes: number;
  /** Zero where nobody asked. */
  rssBytes: number;
}>;

export type SampleSpreads = Readonly<Record<keyof Sample, Spread>>;

/** What a child prints, as its last line. */
export type ChildResult = Readonly<{
  events: number;
  ms: number;
  cpuS: number;
  rssBytes?: number;
}>;

export type ChildSpec = Readonly<{ file: string; args: readonly (string | number)[] }>;

/** Runs a child on Node and gives what it printed. */
export const runChild = <T>({ stage, url }: BenchContext, { file, args }: ChildSpec): T => {
  const { bootstrapServers, nodePath } = stage;
  const result = spawnSync(nodePath, [join(import.meta.dirname, file), ...args.map(String)], {
    env: { ...testEnvironment(), DATABASE_URL: url, KAFKA_BOOTSTRAP_SERVERS: bootstrapServers },
    encoding: "utf8",
    timeout: 300_000,
  });
  if (result.status !== 0) throw new Error(`${file} failed: ${result.stderr}`);
  return JSON.parse(result.stdout.trim().split("\n").at(-1) ?? "") as T;
};

export type Before = Readonly<{ postgres: number; kafka: number; wal: string }>;

export const readBefore = async ({ stage }: BenchContext, sql: Sql): Promise<Before> => {
  const [row] = await sql`select pg_current_wal_lsn()::text as lsn`;
  return { ...stage.cpu(), wal: row?.lsn };
};

export type Costs = Omit<Sample, "eventsPerS" | "rssBytes">;

export const perMillion = (events: number, costs: Costs): Costs => {
  const of = (value: number) => (value / events) * 1e6;
  return {
    clientCpuS: of(costs.clientCpuS),
    postgresCpuS: of(costs.postgresCpuS),
    kafkaCpuS: of(costs.kafkaCpuS),
    walBytes: of(costs.walBytes),
  };
};

/** Of the services, since `before`. */
export const readCosts = async ({ stage }: BenchContext, sql: Sql, before: Before) => {
  const { postgres, kafka } = stage.cpu();
  const [row] = await sql`
    select pg_wal_lsn_diff(pg_current_wal_lsn(), ${before.wal}::pg_lsn)::float8 as bytes`;
  return {
    postgresCpuS: postgres - before.postgres,
    kafkaCpuS: kafka - before.kafka,
    walBytes: row?.bytes,
  };
};

/** Also gives all that the child has printed. */
export const measureChild = async <T extends ChildResult>(
  context: BenchContext,
  sql: Sql,
  spec: ChildSpec,
): Promise<Readonly<{ sample: Sample; result: T }>> => {
  const before = await readBefore(context, sql);
  const result = runChild<T>(context, spec);
  const costs = perMillion(result.events, {
    clientCpuS: result.cpuS,
    ...(await readCosts(context, sql, before)),
  });
  const eventsPerS = (result.events / result.ms) * 1000;
  return { result, sample: { eventsPerS, rssBytes: result.rssBytes ?? 0, ...costs } };
};

const fields = [
  "eventsPerS",
  "clientCpuS",
  "postgresCpuS",
  "kafkaCpuS",
  "walBytes",
  "rssBytes",
] as const satisfies (keyof Sample)[];

export type SamplesByWay = Readonly<Record<string, readonly Sample[]>>;

export const spreadsOf = (samples: SamplesByWay): Readonly<Record<string, SampleSpreads>> =>
  Object.fromEntries(
    Object.entries(samples).map(([way, all]) => [
      way,
      Object.fromEntries(fields.map((field) => [field, spreadOf(all.map((one) => one[field]))])),
    ]),
  ) as Record<string, SampleSpreads>;

/** Of the rates of two ways, within a round. */
export const ratioOf = (samples: SamplesByWay, way: string, to: string): Spread =>
  spreadOf(
    (samples[way] ?? []).map(
      (one, round) => one.eventsPerS / (samples[to]?.[round]?.eventsPerS ?? NaN),
    ),
  );
