import { expect, test } from "bun:test";
import type { GroupState } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import { Registry } from "prom-client";
import { createInboxMetrics, registerBreakers, registerTables } from "./metrics.ts";

const failure = { handler: "h", topic: "t", partition: 0, offset: 1, attempt: 3, error: "no" };

const setUp = (groups: GroupState[] = []) => {
  const registry = new Registry();
  const metrics = createInboxMetrics(registry, () => groups);
  const lines = async () => (await registry.metrics()).split("\n");
  return { metrics, lines };
};

test("what is handled is counted and timed per handler, in seconds", async () => {
  const { metrics, lines } = setUp();
  metrics.onHandled("shop.a", 3, 250);
  metrics.onHandled("shop.a", 2, 750);
  metrics.onHandled("shop.b", 0, 1);
  const found = await lines();
  expect(found).toContain('inbox_handled_total{handler="shop.a"} 5');
  expect(found).toContain('inbox_handled_total{handler="shop.b"} 0');
  expect(found).toContain('inbox_transaction_duration_seconds_sum{handler="shop.a"} 1');
  expect(found).toContain('inbox_transaction_duration_seconds_count{handler="shop.a"} 2');
});

test("failures are counted per handler, missing records per topic, and timers", async () => {
  const { metrics, lines } = setUp();
  metrics.onFailure(failure);
  metrics.onFailure(failure);
  metrics.onGap({ topic: "order-events", partition: 1 }, 40);
  metrics.onGap({ topic: "order-events", partition: 2 }, 2);
  metrics.onTimersFailed(3);
  const found = await lines();
  expect(found).toContain('inbox_failures_total{handler="h"} 2');
  expect(found).toContain('inbox_missing_records_total{topic="order-events"} 42');
  expect(found).toContain("inbox_timers_failed_total 3");
});

test("each group's state is told as it is when it is asked for", async () => {
  const busy: GroupState = {
    group: "shop",
    isConnected: true,
    isJoined: true,
    partitions: 12,
    unresolved: 30,
    failing: [failure],
    halted: [],
    ...{ callMs: 0, silenceMs: 0, unread: [] },
  };
  const groups = [busy];
  const { lines } = setUp(groups);
  const first = await lines();
  expect(first).toContain('inbox_partitions_assigned{group="shop"} 12');
  expect(first).toContain('inbox_unresolved_records{group="shop"} 30');
  expect(first).toContain('inbox_failing_events{group="shop"} 1');
  groups[0] = { ...busy, partitions: 3, unresolved: 0, failing: [] };
  const second = await lines();
  expect(second).toContain('inbox_partitions_assigned{group="shop"} 3');
  expect(second).toContain('inbox_failing_events{group="shop"} 0');
});

/** A database that answers both looks with a row of everything, and can be away. */
const setUpTables = (keepMs: number) => {
  const registry = new Registry();
  const parked = { handler: "shop.a", keys: 2, events: 9, held: 1, oldestAgeMs: 2500 };
  const row = { ...parked, rows: 40, bytes: 8192, inserted: 50 };
  const state = { isAway: false, looks: 0, nowMs: 0 };
  const sql = (async () => {
    state.looks += 1;
    if (state.isAway) throw new Error("away");
    return [{ ...row }];
  }) as unknown as Sql;
  const look = { keepMs, monotonicMs: () => state.nowMs };
  registerTables(registry, { sql, handlers: ["shop.a"], look });
  const lines = async () => (await registry.metrics()).split("\n");
  return { lines, row, state };
};

test("what is parked and how large the inbox is: nothing while Postgres is away", async () => {
  const { lines, state } = setUpTables(0);
  expect(await lines()).toEqual(
    expect.arrayContaining([
      'inbox_parked_keys{handler="shop.a"} 2',
      'inbox_parked_events{handler="shop.a"} 9',
      'inbox_held_keys{handler="shop.a"} 1',
      'inbox_oldest_parked_age_seconds{handler="shop.a"} 2.5',
      "inbox_rows 40",
      "inbox_size_bytes 8192",
      "inbox_rows_inserted_total 0",
    ]),
  );
  state.isAway = true;
  const away = await lines();
  expect(away).not.toContain('inbox_parked_keys{handler="shop.a"} 2');
  expect(away).toContain("inbox_rows Nan");
});

test("the tables are looked at once in a while, however often somebody asks", async () => {
  const { lines, row, state } = setUpTables(10_000);
  for (let n = 0; n < 5; n += 1) await lines();
  expect(state.looks).toBe(2);
  row.rows = 41;
  state.nowMs = 9_999;
  expect(await lines()).toContain("inbox_rows 40");
  state.nowMs = 10_000;
  expect(await lines()).toContain("inbox_rows 41");
  expect(state.looks).toBe(4);
});

test("rows are counted from the first look, across an absence and new statistics", async () => {
  const { lines, row, state } = setUpTables(0);
  const counts = [];
  for (const [inserted, isAway] of [
    [50, true],
    [50, false],
    [80, false],
    [90, true],
    [95, false],
    [5, false],
  ] as const) {
    Object.assign(row, { inserted });
    state.isAway = isAway;
    const found = (await lines()).find((line) => line.startsWith("inbox_rows_inserted_total"));
    counts.push(Number(found?.split(" ")[1]));
  }
  expect(counts).toEqual([0, 0, 30, 30, 45, 50]);
});

test("what could not be looked up is looked up again at once", async () => {
  const { lines, state } = setUpTables(10_000);
  state.isAway = true;
  await lines();
  state.isAway = false;
  expect(await lines()).toContain("inbox_rows 40");
});

test("handlers that are held back are named, and no others", async () => {
  const registry = new Registry();
  let open = [{ handler: "h", opened: 2, code: "unavailable" }];
  registerBreakers(registry, { openBreakers: () => open });
  expect(await registry.metrics()).toContain('inbox_breaker_openings{handler="h"} 2');
  open = [];
  expect(await registry.metrics()).not.toContain("handler=");
});

test("what is halted is counted by group and topic, and gone when it is resumed", async () => {
  const reason = "the topic has been made anew";
  const halted = [0, 1].map((partition) => ({ topic: "order-events", partition, reason }));
  const shop = { group: "shop", isConnected: true, isJoined: true, partitions: 12, unresolved: 0 };
  const life = { callMs: 0, silenceMs: 0, unread: [] };
  const groups: GroupState[] = [{ ...shop, ...life, failing: [], halted }];
  const { lines } = setUp(groups);
  const line = 'inbox_partitions_halted{group="shop",topic="order-events"} 2';
  expect(await lines()).toContain(line);
  groups[0] = { ...shop, ...life, failing: [], halted: [] };
  expect((await lines()).filter((one) => one.startsWith("inbox_partitions_halted{"))).toEqual([]);
});
