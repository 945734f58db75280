import { expect, test } from "bun:test";
import { fault, isFault } from "@outrider/event";
import type { RelayState } from "@outrider/outbox";
import { checkLeases, checkShards } from "./checks.ts";

const state = (change: Partial<RelayState> = {}): RelayState => ({
  owned: [0, 1],
  opening: [],
  failing: [],
  refused: [],
  aside: [],
  sinceRenewalMs: 10,
  ...change,
});

const failureOf = (act: () => void): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};

test("a relay whose leases are confirmed and whose passes succeed is ready", () => {
  expect(failureOf(() => checkLeases(state(), 5000))).toBeUndefined();
  expect(failureOf(() => checkShards(state()))).toBeUndefined();
});

test("one that owns no shard is ready too: the others have them", () => {
  expect(failureOf(() => checkLeases(state({ owned: [] }), 5000))).toBeUndefined();
  expect(failureOf(() => checkShards(state({ owned: [] })))).toBeUndefined();
});

test("leases that nobody confirmed for as long as they last make it unready", () => {
  expect(failureOf(() => checkLeases(state({ sinceRenewalMs: 4999 }), 5000))).toBeUndefined();
  for (const sinceRenewalMs of [5000, Number.POSITIVE_INFINITY]) {
    const failure = failureOf(() => checkLeases(state({ sinceRenewalMs }), 5000));
    expect(isFault(failure, "lease_lost")).toBe(true);
  }
});

test("a shard whose passes fail makes it unready, with how many and a reason", () => {
  const failing = [
    { shard: 3, error: new Error("Kafka refused a record") },
    { shard: 4, error: "other" },
  ];
  const failure = failureOf(() => checkShards(state({ failing })));
  expect(isFault(failure, "publish_failed") && failure.message).toBe(
    "2 shards cannot be published: Kafka refused a record",
  );
  const text = failureOf(() => checkShards(state({ failing: failing.slice(1) })));
  expect(isFault(text) && text.message).toContain("other");
});

test("a shard whose producer is still being opened makes it unready", () => {
  const failure = failureOf(() => checkShards(state({ opening: [1] })));
  expect(isFault(failure, "publish_failed") && failure.message).toBe(
    "1 shards have no producer yet",
  );
});

test("a topic that is refused or stuck does not make it unready: the others go on", () => {
  const refused = [{ shard: 1, topic: "orders", error: new Error("no such topic") }];
  const aside = [{ shard: 1, topics: ["orders"] }];
  expect(failureOf(() => checkShards(state({ refused, aside })))).toBeUndefined();
});

test("a topic that refuses this host's clock makes it unready, any other does not", () => {
  const refused = (reason: string) => {
    const error = fault("publish_failed", `refused: ${reason}`, { details: { reason } });
    return state({ refused: [{ shard: 1, topic: "orders", error }] });
  };
  expect(failureOf(() => checkShards(refused("UNKNOWN_TOPIC")))).toBeUndefined();
  expect(String(failureOf(() => checkShards(refused("INVALID_TIMESTAMP"))))).toContain(
    "refused: INVALID_TIMESTAMP",
  );
});
