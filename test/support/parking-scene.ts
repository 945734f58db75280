/** Handlers that fail on purpose, on a Postgres database of their own. */

import { afterAll, afterEach, beforeAll, beforeEach } from "bun:test";
import type { KafkaRecord } from "@outrider/event";
import { defineHandler } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { sql as query } from "drizzle-orm";
import { startRunner } from "../../packages/inbox/src/parking/runner.ts";
import type { Runner, RunnerDeps, RunnerLimits } from "../../packages/inbox/src/parking/runner.ts";
import { createPartition } from "../../packages/inbox/src/partition.ts";
import type { Partition, PartitionDeps } from "../../packages/inbox/src/partition.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { closedBreakers } from "./closed-breakers.ts";
import { countedOn, recordAt } from "./counted.ts";
import type { Counted } from "./counted.ts";
import { createTestDatabase } from "./database.ts";
import type { TestDatabase } from "./database.ts";
import { inProcess } from "./in-process.ts";
import { silentLog } from "./silent-log.ts";
import { until } from "./until.ts";

export const topic = "counted";
export const { catalogue, definition, count } = countedOn(topic);
export const outbox = createOutbox(catalogue);
export const name = "test.handler";

let database: TestDatabase;
export let db: Database;
export let sql: Sql;
let runners: Runner[];
let partitions: Partition[];

/** To be called once by the file that uses it. Returns where its database is. */
export const useParkingScene = (prepare?: (url: string) => Promise<void>): (() => string) => {
  beforeAll(async () => {
    database = await createTestDatabase();
    await prepare?.(database.url);
    db = connectDatabase({ url: database.url, name: "parking-test", poolMax: 10 });
    sql = connect({ url: database.url, name: "parking-test-platform", poolMax: 8 });
    await sql`
    create table public.effects (
      position bigint generated always as identity, key text, n int, unique (key, n)
    )`;
  });

  afterAll(async () => {
    await db?.$client.end({ timeout: 1 });
    await sql?.end({ timeout: 1 });
    await database?.drop();
  });

  beforeEach(() => {
    runners = [];
    partitions = [];
  });

  afterEach(resetScene);
  return () => database.url;
};

/** Called at the end of each test, before anything of the scene is waited for. */
export const atReset = new Set<() => void>();

/** Stops what was started, and forgets what it has done. */
export const resetScene = async (): Promise<void> => {
  for (const act of atReset) act();
  await Promise.all([
    ...runners.splice(0).map((runner) => runner.stop(100)),
    ...partitions.splice(0).map((partition) => partition.drain(100)),
  ]);
  await sql`
    truncate outrider.inbox, outrider.parked, outrider.parked_heads, outrider.dead_letters,
      outrider.dead_letter_history, outrider.redrives, outrider.redrive_items, outrider.outbox,
      outrider.external_attempts, outrider.failed_attempts, effects`;
};

export const deps = () => ({
  sql,
  transact: ((work) => outbox.transact(db, work)) as Parameters<typeof createWork>[0]["transact"],
  log: silentLog,
  random: () => 0,
  group: "test",
  writeRecord,
});

/** What handlers' parts work with. */
export type Scene = ReturnType<typeof deps>;

/** Its effect can be there once only; `fails` decides by key, number and attempt. */
export const handlerOf = (
  fails: (event: Counted, attempt: number) => unknown,
  more: Partial<Parameters<typeof defineHandler>[0]> = {},
): Handler =>
  defineHandler({
    retry: { attemptsMax: 5, baseMs: 1, capMs: 1 },
    ...more,
    name,
    on: [definition],
    run: async (event, { tx, attempt }) => {
      const { key, n } = event.data;
      await tx.execute(query`insert into effects (key, n) values (${key}, ${n})`);
      const error = fails(event as Counted, attempt);
      if (error) throw error;
    },
  });

/** One partition's worth of events: `a1 b1 a2`. */
export const recordsOf = (text: string): KafkaRecord[] =>
  text
    .split(" ")
    .map((word, offset) =>
      recordAt(count(word.slice(0, 1), Number(word.slice(1))), { topic, offset }),
    );

export const feed = (
  handler: Handler,
  records: readonly KafkaRecord[],
  {
    scene = deps(),
    ...more
  }: Partial<Pick<PartitionDeps, "breakers" | "isAlone"> & { scene: Scene }> = {},
): Partition => {
  const partition = createPartition({ topic, partition: 0, offset: 0 }, [handler], {
    ...scene,
    work: createWork(scene),
    breakers: closedBreakers,
    isAlone: true,
    retry: { baseMs: 1, capMs: 5 },
    onResolved: () => {},
    ...more,
  });
  partitions.push(partition);
  partition.admit(records);
  return partition;
};

export const resolved = (partition: Partition) =>
  until(() => partition.unresolved() === 0, { what: "an outcome for every record" });

export const startRunning = (
  handler: Handler,
  {
    isolation,
    sql: own,
    breakers = closedBreakers,
    scene = deps(),
    others = [],
    ...limits
  }: Partial<RunnerLimits & RunnerDeps & { scene: Scene; others: readonly Handler[] }> = {},
): Runner => {
  const defaults = {
    parkedPollMs: 5,
    freshPollMs: 5,
    parkedKeysMax: 4,
    claimMs: 5000,
    transientMaxAgeMs: 60_000,
  };
  const all = {
    ...scene,
    isolation: isolation ?? inProcess(scene),
    sql: own ?? scene.sql,
    breakers,
  };
  const runner = startRunner([handler, ...others], all, { ...defaults, ...limits });
  runners.push(runner);
  return runner;
};

export const effects = async (): Promise<string> =>
  (await sql`select key || n as name from effects order by position`)
    .map((row) => row.name)
    .join(" ");
export const ofKey = async (key: string): Promise<number[]> =>
  (await sql`select n from effects where key = ${key} order by position`).map((row) => row.n);
export const countOf = async (table: string): Promise<number> =>
  (await sql.unsafe(`select count(*)::int as count from outrider.${table}`))[0]?.count;
export const states = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    (await sql`select state, count(*)::int as count from outrider.inbox group by state`).map(
      (row) => [row.state, row.count],
    ),
  );
export const emptied = (table: string) =>
  until(async () => (await countOf(table)) === 0, { what: `an empty ${table}` });

export const boom = new Error("not now");
