import { expect, test } from "bun:test";
import { isFault } from "./fault.ts";
import { deadLetterTopic, defineTopic } from "./topic.ts";

const refusal = (spec: Parameters<typeof defineTopic>[0]): unknown => {
  try {
    return defineTopic(spec);
  } catch (error) {
    return error;
  }
};

test("what a topic does not say has a default that is safe in production", () => {
  const topic = defineTopic({ name: "order-events" });
  expect(topic).toEqual({
    name: "order-events",
    partitions: 12,
    retentionMs: 604_800_000,
    compression: "lz4",
    cleanup: "delete",
    replication: { production: 3, dev: 1 },
    minInSyncReplicas: { production: 2, dev: 1 },
    maxMessageBytes: 1_048_588,
  });
  expect(Object.isFrozen(topic)).toBe(true);
});

test("what it says stands", () => {
  const said = {
    name: "a",
    partitions: 1,
    compression: "zstd",
    maxMessageBytes: 2_000_000,
  } as const;
  expect(defineTopic(said)).toMatchObject(said);
});

test("names that Kafka takes are taken", () => {
  for (const name of ["a", "A.b_c-9", "x".repeat(249), "mlb-sts.raw.games", "...", "stocks_dlq"]) {
    expect(defineTopic({ name }).name).toBe(name);
  }
});

for (const name of ["", "x".repeat(250), "a b", "a/b", "ä", "a\n", ".", ".."]) {
  test(`the name ${JSON.stringify(name.slice(0, 10))} is refused, as Kafka would`, () => {
    expect(isFault(refusal({ name }), "topic_unknown")).toBe(true);
  });
}

test("a compacted topic is refused: it needs exactly-once publishing", () => {
  expect(isFault(refusal({ name: "a", cleanup: "compact" }), "topic_unknown")).toBe(true);
});

test("a limit below that of a batch is refused: small records would be refused together", () => {
  expect(isFault(refusal({ name: "a", maxMessageBytes: 1_048_587 }), "topic_unknown")).toBe(true);
  expect(defineTopic({ name: "a", maxMessageBytes: 1_048_588 }).maxMessageBytes).toBe(1_048_588);
});

test("what is given up goes to a topic of its own, kept longer, with room for the reason", () => {
  const dead = deadLetterTopic(defineTopic({ name: "a", partitions: 3 }));
  expect(dead).toMatchObject({ name: "a.dlq", partitions: 3, retentionMs: 2_592_000_000 });
  expect(dead.maxMessageBytes).toBe(1_048_588 + 65_536);
  const kept = deadLetterTopic(defineTopic({ name: "a", retentionMs: 9_000_000_000 }));
  expect(kept.retentionMs).toBe(9_000_000_000);
});
