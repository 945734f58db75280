import { expect, test } from "bun:test";
import type { GroupState } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import { Registry } from "prom-client";
import { createInboxMetrics, registerBreakers, registerParked } from "./metrics.ts";

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

test("failures are counted per handler, missing records per topic", async () => {
  const { metrics, lines } = setUp();
  metrics.onFailure(failure);
  metrics.onFailure(failure);
  metrics.onGap({ topic: "order-events", partition: 1 }, 40);
  metrics.onGap({ topic: "order-events", partition: 2 }, 2);
  const found = await lines();
  expect(found).toContain('inbox_failures_total{handler="h"} 2');
  expect(found).toContain('inbox_missing_records_total{topic="order-events"} 42');
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

test("what is parked is told as it is when it is asked for", async () => {
  const registry = new Registry();
  const rows = [{ handler: "shop.a", keys: 2, events: 9, held: 1 }];
  let isAway = false;
  const sql = (async () => {
    if (isAway) throw new Error("away");
    return rows;
  }) as unknown as Sql;
  registerParked(registry, sql, ["shop.a"]);
  const text = await registry.metrics();
  for (const line of ["inbox_parked_keys", "inbox_parked_events", "inbox_held_keys"].entries()) {
    expect(text).toContain(`${line[1]}{handler="shop.a"} ${[2, 9, 1][line[0]]}`);
  }
  isAway = true;
  expect(await registry.metrics()).not.toContain('inbox_parked_keys{handler="shop.a"}');
});

test("handlers that are held back are named, and no others", async () => {
  const registry = new Registry();
  let open = [{ handler: "h", opened: 2, code: "unavailable" }];
  registerBreakers(registry, { openBreakers: () => open });
  expect(await registry.metrics()).toContain('inbox_breaker_openings{handler="h"} 2');
  open = [];
  expect(await registry.metrics()).not.toContain("handler=");
});
