/** Events that end their process, in real processes. Runs on Node, as workers do. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createIsolation } from "@outrider/inbox";
import type { Isolation } from "@outrider/inbox";
import type { Log } from "@outrider/event";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { claimDue } from "../../packages/inbox/src/parking/queue.ts";
import { startRunner } from "../../packages/inbox/src/parking/runner.ts";
import type { Runner } from "../../packages/inbox/src/parking/runner.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { closedBreakers } from "../support/closed-breakers.ts";
import { recordAt } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { catalogue, count, deadly } from "../support/deadly.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let sql: Sql;
let db: Database;
let runner: Runner | undefined;

before(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "suspect-test", poolMax: 4 });
  db = connectDatabase({ url: database.url, name: "suspect-test-handlers", poolMax: 4 });
  await sql`create table effects (key text, n int, unique (key, n))`;
});

after(async () => {
  await Promise.all([sql.end(), db.$client.end()]);
  await database.drop();
});

afterEach(async () => {
  await runner?.stop(100);
  runner = undefined;
  await sql`
    truncate outrider.inbox, outrider.parked, outrider.parked_heads, outrider.dead_letters,
      effects`;
});

const entry = join(import.meta.dirname, "../support/deadly-child.ts");
const isolate = (): Isolation =>
  createIsolation({ entry, args: [database.url], log: silentLog, graceMs: 500, idleMs: 200 });
const deps = () => ({
  sql,
  transact: ((work) => createOutbox(catalogue).transact(db, work)) as Parameters<
    typeof createWork
  >[0]["transact"],
  log: silentLog,
  random: () => 0,
  group: "test",
  writeRecord,
});

/** Events, `key n`, whose worker was not heard of again. */
const suspect = async (...names: string[]): Promise<void> => {
  const deliveries = names.map((name, offset) => {
    const [key = "", n] = name.split(" ");
    return createDelivery(recordAt(count(key, Number(n)), { topic: "deadly", offset }));
  });
  await createWork(deps()).parkUnrun(deadly, deliveries);
  await sql.begin((tx) => claimDue(tx, [deadly.name], { claimMs: 1, headsMax: 20 }));
  await delay(5);
};
const run = (isolation = isolate(), log: Log = silentLog): void => {
  const limits = { parkedPollMs: 10, freshPollMs: 10, parkedKeysMax: 8 };
  const all = { ...limits, claimMs: 5000, transientMaxAgeMs: 60_000 };
  runner = startRunner([deadly], { ...deps(), log, isolation, breakers: closedBreakers }, all);
};
const effects = async (): Promise<string[]> =>
  (await sql`select key || ' ' || n as name from effects order by 1`).map((row) => row.name);
const letters = async (): Promise<string[]> =>
  (
    await sql`
      select code || ' ' || convert_from(key, 'UTF8') as name from outrider.dead_letters order by 1`
  ).map((row) => row.name);
const settled = () =>
  until(async () => (await sql`select from outrider.parked where state = 'due'`).length === 0, {
    what: "an outcome for every event",
    timeoutMs: 90_000,
  });

test("events that end their process are found, and the innocent ones pay nothing", async () => {
  await suspect("kills 1", "fine 1", "exits 1", "hangs 1", "throws 1", "fine 2", "well 1");
  run();
  await settled();
  assert.deepEqual(await effects(), ["fine 1", "fine 2", "well 1"]);
  const expected = ["exits", "hangs", "kills", "throws"].map((key) => `PROCESS_KILLED ${key}`);
  assert.deepEqual(await letters(), expected);
});

test("a suspect that only fails is retried and given up as any other", async () => {
  await suspect("fails 1");
  run();
  await settled();
  assert.deepEqual(await letters(), ["Error fails"]);
});

test("a worker that was away itself hears what its child said before it gives it up", async () => {
  await suspect("slow 1");
  const errors: string[] = [];
  run(isolate(), { ...silentLog, error: (...said) => void errors.push(said.join(" ")) });
  const isRunning = async () => {
    const rows = await sql`
      select from pg_stat_activity
      where application_name = 'deadly' and state = 'idle in transaction'
        and query like '%insert into effects%'`;
    return rows.length > 0;
  };
  await until(isRunning, { what: "the event to run", pollMs: 5 });
  const endMs = performance.now() + 2000;
  while (performance.now() < endMs);
  await settled();
  await runner?.stop(1000);
  assert.deepEqual([await effects(), errors], [["slow 1"], []]);
});

test("the child is kept for the next one, and ends when there is none", async () => {
  const isolation = isolate();
  const pids = new Set<number>();
  const watching = setInterval(async () => {
    const rows = await sql<{ pid: number }[]>`
      select pid from pg_stat_activity where application_name = 'deadly-platform'`;
    for (const row of rows) pids.add(row.pid);
  }, 5);
  await suspect(...Array.from({ length: 40 }, (_, n) => `fine${n % 5} ${n}`));
  run(isolation);
  await settled();
  clearInterval(watching);
  assert.equal((await effects()).length, 40);
  // On a busy machine it may end for want of work, now and then.
  assert.ok(pids.size > 0 && pids.size < 5, `${pids.size} children`);
  const isGone = async () =>
    (await sql`select from pg_stat_activity where application_name = 'deadly'`).length === 0;
  await until(isGone, { what: "the child's end" });
});

test("a runner that stops takes its child with it, and counts nothing", async () => {
  await suspect("hangs 1");
  run();
  const isRunning = async () =>
    (await sql`select from pg_stat_activity where application_name = 'deadly'`).length > 0;
  await until(isRunning, { what: "the child" });
  await runner?.stop(0);
  const [row] = await sql`select killed, attempt from outrider.parked`;
  assert.deepEqual({ ...row }, { killed: 0, attempt: 0 });
  assert.deepEqual(await letters(), []);
});
