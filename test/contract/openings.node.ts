/** Which records of a producer go alone. Runs on Node, like everything of that package. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PublishRecord } from "@outrider/event";
import { createOpenings } from "../../packages/kafka/src/openings.ts";

const record = (key: string): PublishRecord => ({
  topic: "t",
  key: Buffer.from(key),
  value: Buffer.alloc(0),
  headers: [],
});

const of = (...keys: string[]) => keys.map(record);

test("a partition's first record goes alone, and those behind it wait", async () => {
  const openings = createOpenings(async () => 1);
  assert.equal(openings.isOpen("t"), false);
  assert.deepEqual(await openings.split("t", of("a", "b", "a")), { first: [0], rest: [1, 2] });
  openings.opened("t", of("a"));
  assert.equal(openings.isOpen("t"), true);
});

test("partitions that are open already do not wait for those that are not", async () => {
  const openings = createOpenings(async () => 64);
  const keys = Array.from({ length: 500 }, (_, n) => `key-${n}`);
  const { first } = await openings.split("t", of(...keys));
  assert.equal(first.length, 64);
  openings.opened("t", of(...first.slice(0, 60).map((index) => keys[index] as string)));
  assert.equal(openings.isOpen("t"), false);
  const again = await openings.split("t", of(...keys));
  assert.deepEqual(again.first, first.slice(60));
  openings.opened("t", of(...first.slice(60).map((index) => keys[index] as string)));
  assert.equal(openings.isOpen("t"), true);
});

test("records of one key are never split between those that go first", async () => {
  const openings = createOpenings(async () => 12);
  const keys = Array.from({ length: 300 }, (_, n) => `key-${n % 7}`);
  const { first, rest } = await openings.split("t", of(...keys));
  assert.equal(new Set(first.map((index) => keys[index])).size, first.length);
  assert.deepEqual(
    [...first, ...rest].sort((a, b) => a - b),
    [...keys.keys()],
  );
});

test("a topic's partitions are counted once", async () => {
  let counts = 0;
  const openings = createOpenings(async () => {
    counts += 1;
    return 3;
  });
  await openings.split("t", of("a"));
  await openings.split("t", of("b"));
  await openings.split("u", of("b"));
  assert.equal(counts, 2);
});
