/** The way of an order through the real processes, while relay and worker are killed. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { KafkaRecord } from "@outrider/event";
import { connectDatabase } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { checkEffects } from "../checker/check-effects.ts";
import { checkLog, countDuplicates } from "../checker/check-log.ts";
import { testEnvironment, testKafka } from "../support/environment.ts";
import { runOutrider } from "../support/outrider.ts";
import { until } from "../support/until.ts";
import { expectedStats, expectedSummaries, readStats, readSummaries } from "./expected-rows.ts";
import { logRecordOf, readCommits, readLog, recordCommits } from "./observer.ts";
import type { App } from "./processes.ts";
import { failReceipts, placeOrder, startStage, topic } from "./stage.ts";
import type { Stage } from "./stage.ts";
import { driveOrders, driveRollbacks, seededRandom } from "./workload.ts";
import type { Outcome } from "./workload.ts";

const orderCount = 2000;
const rollbackCount = 200;
const drainTimeoutMs = 60_000;

const kafka = testKafka();
let stage: Stage;
let sql: Sql;
let shop: App;
let relay: App;
let worker: App;
let outside: App;

/** Everything committed is published; two handlers want all of it, one only what is placed. */
const isDrained = async (): Promise<boolean> => {
  const [row] = await sql<{ pending: number; wanted: number; handled: number }[]>`
    select (select count(*)::int from outrider.outbox) as pending,
      (select (count(*) * 2 + count(*) filter (where sequence = 1))::int
        from public.committed_events) as wanted,
      (select count(*)::int from outrider.inbox where state = 'handled') as handled`;
  return row !== undefined && row.pending === 0 && row.handled === row.wanted;
};

type Receipts = Readonly<{ requests: number; receipts: readonly { body: { orderId: string } }[] }>;

const readReceipts = async (): Promise<Receipts> =>
  (await (await fetch(`${outside.url}/v1/receipts`)).json()) as Receipts;

/** Before all that this run writes. */
const startedAt = new Date();

beforeAll(async () => {
  stage = await startStage(recordCommits);
  ({ sql, shop, relay, worker, outside } = stage);
}, 60_000);

afterAll(async () => {
  await stage?.stop();
}, 30_000);

test("a cancelled order shows as cancelled within a second", async () => {
  const post = (path: string, body: unknown) =>
    fetch(shop.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const lines = [{ sku: "tea", quantity: 2, unitPriceMinor: 450 }];
  const placed = await post("/v1/orders", { customerId: "ann", currency: "EUR", lines });
  expect(placed.status).toBe(201);
  const { id } = (await placed.json()) as { id: string };
  expect((await post(`/v1/orders/${id}/cancel`, { reason: "changed my mind" })).status).toBe(200);
  const isCancelled = async () => {
    const answer = await fetch(`${shop.url}/v1/order-summaries/${id}`);
    return answer.ok && ((await answer.json()) as { status: string }).status === "cancelled";
  };
  await until(isCancelled, { what: "the cancelled summary", timeoutMs: 1000, pollMs: 5 });
});

test("a receipt comes late when its service fails, and the summary does not wait", async () => {
  await until(isDrained, { what: "the receipts before it" });
  await failReceipts(stage, { status: 500, count: 3 });
  const { requests } = await readReceipts();
  const id = await placeOrder(stage, "eve");
  const hasSummary = async () => (await fetch(`${shop.url}/v1/order-summaries/${id}`)).ok;
  await until(hasSummary, { what: "the summary", timeoutMs: 1000, pollMs: 5 });
  const isSent = async () => (await readReceipts()).receipts.some((one) => one.body.orderId === id);
  await until(isSent, { what: "the receipt", timeoutMs: 30_000, pollMs: 50 });
  expect((await readReceipts()).requests).toBe(requests + 4);
  // The service knows of it before the worker has written down that it does.
  const attempts = async () => {
    const rows = await sql<{ outcome: string | null }[]>`
      select a.outcome from outrider.external_attempts a
      join public.committed_events e on e.id = a.event_id where e.key = ${id} order by attempt`;
    const outcomes = rows.map((row) => row.outcome);
    return !outcomes.includes(null) && outcomes;
  };
  const ended = await until(attempts, { what: "the end of its last attempt" });
  expect(ended).toEqual(["internal", "internal", "internal", "ok"]);
});

describe("2,000 orders while relay and worker are killed", () => {
  let outcome: Outcome;
  let takenBack: Set<string>;
  let log: readonly KafkaRecord[];
  let kills = 0;

  beforeAll(async () => {
    const killings: Promise<void>[] = [];
    const onProgress = (done: number) => {
      if (done % 250 !== 0) return;
      kills += 1;
      killings.push((done % 500 === 0 ? relay : worker).killAndRestart());
    };
    const random = seededRandom(20_261_120);
    const load = { url: shop.url, count: orderCount, concurrency: 16, random, onProgress };
    const db = connectDatabase({ url: stage.databaseUrl, name: "e2e-rollbacks", poolMax: 2 });
    [outcome, takenBack] = await Promise.all([
      driveOrders(load),
      driveRollbacks(db, rollbackCount),
    ]);
    await db.$client.end();
    await Promise.all(killings);
    // Once more while there is a backlog on both sides.
    await Promise.all([relay.killAndRestart(), worker.killAndRestart()]);
    await until(isDrained, { what: "the end of the backlog", timeoutMs: drainTimeoutMs });
    log = await readLog(kafka, topic, stage.starts);
  }, 180_000);

  test("every 2xx has its order and its events, and nothing else has", async () => {
    const rows = await sql<{ id: string; status: string }[]>`
      select id, status from shop.orders where customer_id like 'customer-%'
        and customer_id <> 'customer-rollback'`;
    expect(rows.map((row) => row.id).sort()).toEqual(outcome.placed.toSorted());
    const cancelled = rows.filter((row) => row.status === "cancelled").map((row) => row.id);
    expect(cancelled.sort()).toEqual(outcome.cancelled.toSorted());
    expect(outcome.rejected).toBe(orderCount / 10);
    const committed = await readCommits(sql);
    const created = new Set(committed.filter((e) => e.sequence === 1).map((e) => e.key));
    const ended = new Set(committed.filter((e) => e.sequence === 2).map((e) => e.key));
    expect(outcome.placed.filter((id) => !created.has(id))).toEqual([]);
    expect(outcome.cancelled.filter((id) => !ended.has(id))).toEqual([]);
  });

  test("Kafka holds exactly the committed events, in order and gapless for each key", async () => {
    const committed = await readCommits(sql);
    const records = log.map(logRecordOf);
    expect(takenBack.size).toBeGreaterThan(rollbackCount / 2);
    expect(checkLog({ committed, rolledBack: takenBack, log: records })).toEqual([]);
    console.log(
      `${committed.length} events, ${countDuplicates(records)} duplicates, ${kills + 2} kills`,
    );
  });

  test("every order has one receipt, however often it was asked for", async () => {
    const { receipts } = await readReceipts();
    const orders = receipts.map((one) => one.body.orderId);
    expect(new Set(orders).size).toBe(orders.length);
    const created = (await readCommits(sql)).filter((event) => event.sequence === 1);
    expect(orders.toSorted()).toEqual(created.map((event) => event.key).toSorted());
  });

  test("summaries and statistics are what the events say, once in effect", async () => {
    expect(checkEffects(expectedSummaries(log), await readSummaries(sql))).toEqual([]);
    expect(checkEffects(expectedStats(log), await readStats(sql))).toEqual([]);
  });

  test("a replay makes the summaries anew, though its command is killed amid it", async () => {
    await sql`truncate shop.order_summaries`;
    const args = ["replay", "start", "--handler", "shop.order-summary", "--again"];
    const more = ["--since", startedAt.toISOString(), "--reason", "the table was lost"];
    const killed = spawn("bun", ["apps/cli/src/bootstrap.ts", ...args, ...more], {
      env: { ...testEnvironment(), DATABASE_URL: stage.databaseUrl },
      cwd: join(import.meta.dirname, "../.."),
      stdio: "ignore",
    });
    const isHalfDone = async () => (await readSummaries(sql)).size > 100;
    await until(isHalfDone, { what: "some summaries", timeoutMs: 20_000 });
    killed.kill("SIGKILL");
    const isGone = async () =>
      (await sql`select from pg_stat_activity where application_name like '%shop-replay%'`)
        .length === 0;
    await until(isGone, { what: "the end of its child" });
    const [left] = await sql`select id::text as id, state from outrider.replays`;
    expect(left?.state).toBe("running");
    const services = { databaseUrl: stage.databaseUrl, kafka };
    const { code, stdout } = await runOutrider(services, ["replay", "resume", left?.id, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ state: "done", dead: 0, parked: 0 });
    expect(code).toBe(0);
    expect(checkEffects(expectedSummaries(log), await readSummaries(sql))).toEqual([]);
  }, 60_000);
});

test("every process stops within 10 s of SIGTERM, with exit code 0", async () => {
  const stops = await Promise.all([shop, relay, worker, outside].map((app) => app.stop()));
  expect(stops.map((one) => one.exitCode)).toEqual([0, 0, 0, 0]);
  for (const one of stops) expect(one.durationMs).toBeLessThan(10_000);
}, 15_000);
