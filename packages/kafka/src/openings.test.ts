import { expect, test } from "bun:test";
import type { PublishRecord } from "@outrider/event";
import { createOpenings } from "./openings.ts";

const record = (key: string): PublishRecord => ({
  topic: "t",
  key: Buffer.from(key),
  value: Buffer.alloc(0),
  headers: [],
  timestampMs: 0,
});

const of = (...keys: string[]) => keys.map(record);

test("a partition's first record goes alone, and those behind it wait", async () => {
  const openings = createOpenings(async () => 1);
  expect(openings.isOpen("t")).toBe(false);
  expect(await openings.split("t", of("a", "b", "a"))).toEqual({ first: [0], rest: [1, 2] });
  openings.opened("t", of("a"));
  expect(openings.isOpen("t")).toBe(true);
});

test("partitions that are open already do not wait for those that are not", async () => {
  const openings = createOpenings(async () => 64);
  const keys = Array.from({ length: 500 }, (_, n) => `key-${n}`);
  const { first } = await openings.split("t", of(...keys));
  expect(first.length).toBe(64);
  openings.opened("t", of(...first.slice(0, 60).map((index) => keys[index] as string)));
  expect(openings.isOpen("t")).toBe(false);
  const again = await openings.split("t", of(...keys));
  expect(again.first).toEqual(first.slice(60));
  openings.opened("t", of(...first.slice(60).map((index) => keys[index] as string)));
  expect(openings.isOpen("t")).toBe(true);
});

test("records of one key are never split between those that go first", async () => {
  const openings = createOpenings(async () => 12);
  const keys = Array.from({ length: 300 }, (_, n) => `key-${n % 7}`);
  const { first, rest } = await openings.split("t", of(...keys));
  expect(new Set(first.map((index) => keys[index])).size).toBe(first.length);
  expect([...first, ...rest].sort((a, b) => a - b)).toEqual([...keys.keys()]);
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
  expect(counts).toBe(2);
});
