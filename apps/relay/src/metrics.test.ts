import { expect, test } from "bun:test";
import type { RelayState } from "@outrider/outbox";
import type { Sql } from "@outrider/postgres";
import { Registry } from "prom-client";
import { createRelayMetrics } from "./metrics.ts";

type Backlog = { pending: number; age: string | null };

const setUp = (backlog: Backlog, state: RelayState) => {
  const registry = new Registry();
  const sql = (async () => [backlog]) as unknown as Sql;
  const metrics = createRelayMetrics(registry, sql, () => state);
  const lines = async () => (await registry.metrics()).split("\n");
  return { metrics, lines };
};

const state: RelayState = {
  opening: [],
  owned: [1, 2, 5],
  failing: [],
  aside: [],
  sinceRenewalMs: 0,
};

test("what is published is counted per shard and timed in seconds", async () => {
  const { metrics, lines } = setUp({ pending: 0, age: null }, state);
  metrics.onPublished(3, 1000, 500);
  metrics.onPublished(3, 10, 1500);
  metrics.onPublished(4, 1, 1);
  metrics.onFailure(3, new Error("no"));
  const found = await lines();
  expect(found).toContain('outbox_published_total{shard="3"} 1010');
  expect(found).toContain('outbox_published_total{shard="4"} 1');
  expect(found).toContain('outbox_pass_failures_total{shard="3"} 1');
  expect(found).toContain("outbox_publish_duration_seconds_sum 2.001");
});

test("the backlog and the shards are told as they are when it is asked for", async () => {
  const backlog: Backlog = { pending: 7, age: "2500.5" };
  const { lines } = setUp(backlog, state);
  const first = await lines();
  expect(first).toContain("outbox_events_pending 7");
  expect(first).toContain("outbox_oldest_pending_age_seconds 2.5005");
  expect(first).toContain("outbox_shards_owned 3");
  Object.assign(backlog, { pending: 0, age: null });
  const second = await lines();
  expect(second).toContain("outbox_events_pending 0");
  expect(second).toContain("outbox_oldest_pending_age_seconds 0");
});

test("while the database is away the other figures can still be read", async () => {
  const registry = new Registry();
  const sql = (() => Promise.reject(new Error("away"))) as unknown as Sql;
  const metrics = createRelayMetrics(registry, sql, () => state);
  metrics.onPublished(3, 10, 1);
  const text = await registry.metrics().catch((error: Error) => `failed: ${error.message}`);
  expect(text).toContain('outbox_published_total{shard="3"} 10');
});
