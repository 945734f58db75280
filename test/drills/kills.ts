/**
 * Backlogs behind relays and workers that were killed: how fast they drain, beside an undisturbed
 * one; and what an event costs that ends whoever takes it.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { applyTopics } from "@outrider/broker";
import { deadLetterTopic, defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { migrateAll } from "@outrider/postgres/migrate";
import { startChild } from "@outrider/stack";
import type { Child } from "@outrider/stack";
import { startStage } from "../chaos/stage.ts";
import { killers, mortalTopic } from "../support/mortal.ts";
import { until } from "../support/until.ts";
import type { Drill, DrillContext, DrillResult } from "./drill.ts";

const events = 40_000;
const killCount = 3;
const deathsMax = 5;
const shareMin = 0.5;
/** Handled or published between two kills: the kill comes amid the work. */
const betweenKills = 300;
const timeoutMs = 120_000;
const shards = 8;
const partitions = 12;

type Part = "relay" | "worker";
/** Nobody handles what the relays' part publishes. */
const topics: Readonly<Record<Part, string>> = { relay: "mortal-relay", worker: mortalTopic };

type Scene = Readonly<{
  stage: Awaited<ReturnType<typeof startStage>>;
  sql: Sql;
  context: DrillContext;
}>;

type Drain = Readonly<{ perS: number; left: number }>;
type Row = Readonly<{
  part: Part;
  undisturbed: Drain;
  killed: Drain;
  /** Of processes, by a killer; those that run suspects included. */
  deaths: number;
  letters: readonly string[];
}>;

export const kills: Drill = {
  what: `backlogs of ${events} events behind killed relays and workers, and a killer (4 minutes)`,
  run: async (context) => {
    const stage = await startStage(context.folder, { env: context.env, brokers: 1 });
    const sql = connect({ url: stage.postgres.directUrl, name: "drill", poolMax: 4 });
    const scene = { stage, sql, context };
    try {
      await prepare(scene);
      return report([await drill(scene, "relay"), await drill(scene, "worker")]);
    } finally {
      await sql.end({ timeout: 1 });
      await stage.stop();
    }
  },
};

const prepare = async ({ stage, sql }: Scene): Promise<void> => {
  const folder = join(import.meta.dirname, "../../drizzle");
  await migrateAll({ url: stage.postgres.directUrl, folder });
  await sql`create table public.effects (key text, n int)`;
  const specs = Object.values(topics).map((name) => defineTopic({ name }));
  const all = [...specs, ...specs.map(deadLetterTopic)];
  await applyTopics(stage.kafka, { topics: all, profile: "dev" });
};

/** Into the outbox, 20 events of each key; one in the middle may end its process. */
const fill = ({ sql }: Scene, part: Part, { count = events, hasKiller = false } = {}) => sql`
  insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
  select gen_random_uuid(), 'test.counted', 1, ${topics[part]}, convert_to(one.key, 'UTF8'),
    '{"ce_source": "drill", "ce_time": "2026-11-20T10:00:00.000Z"}',
    convert_to(jsonb_build_object('key', one.key, 'n', n / (${events}::int / 20),
      'text', case when ${hasKiller} and n = ${events}::int / 2 then ${killers[part]}::text
        else rpad('', 200, 'x') end)::text, 'UTF8')
  from generate_series(1, ${count}::int) n
  cross join lateral (select 'key-' || n % (${events}::int / 20) as key) as one`;

const start = ({ stage, context }: Scene, part: Part): Promise<Child> =>
  startChild({
    name: part,
    command: stage.nodePath,
    args: ["--max-semi-space-size=32", join(import.meta.dirname, `../support/mortal-${part}.ts`)],
    cwd: join(import.meta.dirname, "../.."),
    env: {
      ...context.env,
      DATABASE_URL: stage.postgres.directUrl,
      KAFKA_BOOTSTRAP_SERVERS: stage.kafka.bootstrapServers,
      DEATHS_FILE: deathsFile(context, part),
    },
    logFile: join(context.folder, `${part}.log`),
  });

/** What is not published yet, or has no outcome yet. */
const leftOf = async ({ sql }: Scene, part: Part, total: number): Promise<number> => {
  const [row] =
    part === "relay"
      ? await sql<{ count: number }[]>`select count(*)::int from outrider.outbox`
      : await sql<{ count: number }[]>`
          select (${total}::int - count(*) filter (where state <> 'parked'))::int as count
          from outrider.inbox`;
  return row?.count ?? 0;
};

/** By a process that is started for it; from when it may begin to the last event. */
const measure = async (scene: Scene, part: Part, total: number): Promise<Drain> => {
  const before = await known(scene);
  const child = await start(scene, part);
  const hasBegun = () => mayBegin(scene, part, before);
  await until(hasBegun, { what: `a ${part} that begins`, timeoutMs, pollMs: 5 });
  const startedMs = performance.now();
  const left = await leftOf(scene, part, total);
  const isOver = async (): Promise<boolean> => (await leftOf(scene, part, total)) === 0;
  await until(isOver, { what: `the ${part}'s backlog`, timeoutMs, pollMs: 20 });
  const perS = left / ((performance.now() - startedMs) / 1000);
  await child.stop(stopMs);
  return { perS, left };
};

/** Somebody has all shards, or all partitions, who was not there before. */
const mayBegin = async ({ sql }: Scene, part: Part, before: ReadonlySet<string>) => {
  const rows = await (part === "relay"
    ? sql<{ owner: string; count: number }[]>`
        select owner::text, count(*)::int from outrider.shards where owner is not null
        group by owner`
    : sql<{ owner: string; count: number }[]>`
        select instance::text as owner, count(*)::int from outrider.readers group by instance`);
  const [one] = rows.filter((row) => !before.has(row.owner));
  return one?.count === (part === "relay" ? shards : partitions);
};

/** Who owns shards, or reads partitions, or has and left it so. */
const known = async ({ sql }: Scene): Promise<Set<string>> => {
  const rows = await sql<{ owner: string }[]>`
    select owner::text from outrider.shards where owner is not null
    union select instance::text from outrider.readers`;
  return new Set(rows.map((row) => row.owner));
};

/** Kills it amid the work, so many times; returns when it has ended for the last time. */
const killTimes = async (scene: Scene, part: Part, total: number): Promise<void> => {
  for (let kill = 0; kill < killCount; kill += 1) {
    const before = await leftOf(scene, part, total);
    const child = await start(scene, part);
    const isAtWork = async () => (await leftOf(scene, part, total)) <= before - betweenKills;
    await until(isAtWork, { what: `a ${part} at work`, timeoutMs, pollMs: 5 });
    process.kill(child.pid, "SIGKILL");
    await child.exited;
  }
};

/** A line for each process that the killer has ended. */
const deathsFile = ({ folder }: DrillContext, part: Part): string => join(folder, `${part}-deaths`);

/** Started again whenever it has ended. */
const keepRunning = async (scene: Scene, part: Part, isOver: () => Promise<boolean>) => {
  let child = await start(scene, part);
  let hasEnded = false;
  const watch = (one: Child) => void one.exited.then(() => (hasEnded = child === one));
  watch(child);
  const isDone = async (): Promise<boolean> => {
    if (hasEnded) {
      hasEnded = false;
      child = await start(scene, part);
      watch(child);
    }
    return isOver();
  };
  const what = `an end with a killer among the ${part}'s events`;
  await until(isDone, { what, timeoutMs, pollMs: 50 });
  await child.stop(stopMs);
};

const drill = async (scene: Scene, part: Part): Promise<Row> => {
  const { sql, context } = scene;
  /** A backlog of its part; of workers it lies in Kafka. */
  const begin = async (hasKiller = false): Promise<void> => {
    await fill(scene, part, { hasKiller });
    if (part === "relay") return;
    const relay = await start(scene, "relay");
    const isEmpty = async () => (await leftOf(scene, "relay", 0)) === 0;
    await until(isEmpty, { what: "an empty outbox", timeoutMs, pollMs: 50 });
    await relay.stop(stopMs);
  };
  await begin();
  const undisturbed = await measure(scene, part, events);
  await begin();
  await killTimes(scene, part, 2 * events);
  if (part === "relay") {
    const count = events - (await leftOf(scene, part, 0));
    await fill(scene, part, { count });
  }
  const killed = await measure(scene, part, 2 * events);
  await begin(true);
  const isOver = async () => (await leftOf(scene, part, 3 * events)) === 0;
  await keepRunning(scene, part, isOver);
  const ended = readFileSync(deathsFile(context, part), "utf8").trim().split("\n");
  const letters = await sql<{ code: string }[]>`select code from outrider.dead_letters`;
  await sql`
    truncate outrider.dead_letters, outrider.blocked, outrider.outbox_held, outrider.outbox`;
  const codes = letters.map(({ code }) => code);
  const row = { part, undisturbed, killed, deaths: ended.length, letters: codes };
  context.say(JSON.stringify(row));
  return row;
};

const stopMs = 10_000;

const shareOf = ({ undisturbed, killed }: Row): number => killed.perS / undisturbed.perS;

const report = (rows: readonly Row[]): DrillResult => {
  const lines = rows.map((row) => {
    const { part, undisturbed, killed, deaths, letters } = row;
    const rates = [undisturbed.perS.toFixed(0), killed.perS.toFixed(0), shareOf(row).toFixed(2)];
    return `| ${[part, ...rates, killed.left, deaths, letters.join(", ")].join(" | ")} |`;
  });
  const text = [
    `A backlog of ${events} events of 2,000 keys, drained by one process, undisturbed; the same`,
    `behind ${killCount} processes that were killed (SIGKILL) one after the other, amid their`,
    "work; and the same with one event in its middle that ends every process that takes it. Rates",
    "are those from when a process has its shards or partitions to the last event.",
    "",
    "| of a | undisturbed, /s | after kills, /s | share | left then | killer's deaths | letters |",
    "| --- | --: | --: | --: | --: | --: | --- |",
    ...lines,
  ].join("\n");
  const failures = rows.flatMap((row) => [
    ...(shareOf(row) < shareMin ? [`A ${row.part}'s backlog drains at ${shareOf(row)}.`] : []),
    ...(row.deaths > deathsMax ? [`A killer has ended ${row.deaths} processes.`] : []),
    ...(row.letters.join() === "PROCESS_KILLED" ? [] : [`Given up: ${row.letters.join()}.`]),
  ]);
  return { text, failures };
};
