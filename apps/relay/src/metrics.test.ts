import { expect, test } from "bun:test";
import type { RelayState } from "@outrider/outbox";
import type { Sql } from "@outrider/postgres";
import { Registry } from "prom-client";
import { createRelayMetrics } from "./metrics.ts";

const empty = { pending: 0, age: null as string | null, held: 0, blockedKeys: 0, openLetters: 0 };

const setUp = (backlog: typeof empty, state: RelayState) => {
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
  refused: [],
  aside: [
    { shard: 1, topics: ["a", "b"] },
    { shard: 2, topics: ["a"] },
  ],
  sinceRenewalMs: 1500,
};

test("what is published is counted per shard and timed in seconds", async () => {
  const { metrics, lines } = setUp(empty, state);
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

test("what goes wrong is counted by its kind", async () => {
  const { metrics, lines } = setUp(empty, state);
  metrics.onBuried(1, "MSG_SIZE_TOO_LARGE");
  metrics.onHeld(1, 40);
  for (const kind of ["late", "gap", "gap", "repeat"] as const) {
    metrics.onDisorder(1, { kind, eventId: "e", topic: "t" });
  }
  const found = await lines();
  expect(found).toContain('outbox_buried_total{code="MSG_SIZE_TOO_LARGE"} 1');
  expect(found).toContain("outbox_held_total 40");
  expect(found).toContain("outbox_late_events_total 1");
  expect(found).toContain("outbox_sequence_gaps_total 2");
  expect(found).toContain("outbox_sequence_repeats_total 1");
});

test("the backlog and the shards are told as they are when it is asked for", async () => {
  const kept = { held: 12, blockedKeys: 2, openLetters: 3 };
  const backlog = { ...kept, pending: 7, age: "2500.5" as string | null };
  const { lines } = setUp(backlog, state);
  const first = await lines();
  expect(first).toContain("outbox_events_pending 7");
  expect(first).toContain("outbox_oldest_pending_age_seconds 2.5005");
  expect(first).toContain("outbox_shards_owned 3");
  expect(first).toContain("outbox_topics_aside 3");
  expect(first).toContain("outbox_lease_renewal_age_seconds 1.5");
  expect(first).toContain("outbox_events_held 12");
  expect(first).toContain("outbox_keys_blocked 2");
  expect(first).toContain("outbox_dead_letters_open 3");
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
  expect(text).toContain("outbox_events_pending Nan");
});
