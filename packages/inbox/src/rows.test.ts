import { expect, test } from "bun:test";
import { defineEvent } from "@outrider/event";
import fc from "fast-check";
import * as v from "valibot";
import { createDelivery } from "./delivery.ts";
import type { Delivery } from "./delivery.ts";
import { defineBatchHandler } from "./handler.ts";
import { createRows } from "./rows.ts";

const counted = defineEvent({
  type: "test.counted",
  version: 1,
  source: "test",
  category: "domain",
  topic: "counted",
  data: v.object({}),
  key: () => "k",
});

const deliveryOf = (offset: number, key: string, type = "test.counted"): Delivery =>
  createDelivery({
    ...{ topic: "counted", partition: 0, offset, timestampMs: 0 },
    key: Buffer.from(key),
    value: Buffer.from("{}"),
    headers: [
      { ce_id: Buffer.from(`id-${offset}`) },
      { ce_type: Buffer.from(type) },
      { ce_source: Buffer.from("test") },
    ],
  });

type Run = Readonly<{ keys: string; offsets: number[]; end(isDone: boolean): void }>;

/** Rows whose runs end when the test says so. */
const setUp = (concurrency: number, sizeMax = 2) => {
  const handler = defineBatchHandler({
    ...{ name: "test.handler", on: [counted], concurrency },
    run: async () => {},
  });
  const running: Run[] = [];
  const state = { resolved: 0 };
  const draining = new AbortController();
  const rows = createRows(handler, {
    isWanted: (one) => one.isFor(handler),
    run: (deliveries) =>
      new Promise((resolve) => {
        const run: Run = {
          keys: deliveries.map(({ record }) => String(record.key)).join(""),
          offsets: deliveries.map(({ record }) => record.offset),
          end: (isDone) => {
            running.splice(running.indexOf(run), 1);
            resolve(isDone);
          },
        };
        running.push(run);
      }),
    sizeMax: () => sizeMax,
    resolve: (count) => (state.resolved += count),
    draining: draining.signal,
  });
  return { rows, running, state, draining };
};

const keysOf = (running: readonly Run[]): string[] => running.map((one) => one.keys).sort();
/** As many turns as a row needs to go on. */
const turn = () => Bun.sleep(0);

test("a key that takes long holds up no other; what is resolved has no gap", async () => {
  const { rows, running, state } = setUp(2);
  rows.add([..."abab"].map((key, offset) => deliveryOf(offset, key)));
  expect(keysOf(running)).toEqual(["aa", "bb"]);
  for (let offset = 4; offset < 20; offset += 1) {
    running.find((one) => one.keys !== "aa")?.end(true);
    await turn();
    rows.add([deliveryOf(offset, `b`)]);
    expect([keysOf(running), state.resolved]).toEqual([["aa", "b"], 0]);
  }
  expect(rows.unresolved()).toBe(20);
  for (const one of [...running]) one.end(true);
  expect(await rows.idle()).toBe(true);
  expect([state.resolved, rows.unresolved()]).toEqual([20, 0]);
});

test("a key is in one row at a time, and what is not for the handler in none", async () => {
  const { rows, running, state } = setUp(3, 1);
  rows.add([deliveryOf(0, "a", "test.other"), deliveryOf(1, "a"), deliveryOf(2, "a")]);
  expect([keysOf(running), state.resolved]).toEqual([["a"], 1]);
  running[0]?.end(true);
  await turn();
  expect([running[0]?.offsets, state.resolved]).toEqual([[2], 2]);
  running[0]?.end(true);
  expect(await rows.idle()).toBe(true);
});

test("once it drains, nothing new is begun, and it says that something is left", async () => {
  const { rows, running, state, draining } = setUp(2, 1);
  rows.add([..."aabb"].map((key, offset) => deliveryOf(offset, key)));
  draining.abort();
  for (const one of [...running]) one.end(true);
  expect(await rows.idle()).toBe(false);
  expect([running.length, state.resolved, rows.unresolved()]).toEqual([0, 1, 3]);
});

test("what could not be handled is not resolved, nor what is behind it", async () => {
  const { rows, running, state } = setUp(2);
  rows.add([..."aab"].map((key, offset) => deliveryOf(offset, key)));
  running.find((one) => one.keys === "aa")?.end(false);
  running.find((one) => one.keys === "b")?.end(true);
  expect(await rows.idle()).toBe(false);
  expect(state.resolved).toBe(0);
});

test("in whatever order runs end: keys are in order, and nothing is resolved early", async () => {
  const keys = fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 40 });
  const picks = fc.infiniteStream(fc.nat());
  const sizes = fc.tuple(fc.integer({ min: 2, max: 4 }), fc.integer({ min: 1, max: 5 }));
  await fc.assert(
    fc.asyncProperty(keys, picks, sizes, async (log, pick, [concurrency, sizeMax]) => {
      const { rows, running, state } = setUp(concurrency, sizeMax);
      const ran: number[] = [];
      for (let next = 0; next < log.length || running.length > 0;) {
        const choice = pick.next().value;
        if (next < log.length && (choice % 2 === 0 || running.length === 0)) {
          rows.add([deliveryOf(next, log[next] as string)]);
          next += 1;
        } else {
          const one = running[choice % running.length];
          ran.push(...(one?.offsets ?? []));
          one?.end(true);
          await turn();
        }
        const allRan = [...ran].sort((a, b) => a - b);
        const gap = allRan.findIndex((offset, at) => offset !== at);
        expect(state.resolved).toBe(gap === -1 ? ran.length : gap);
      }
      expect(await rows.idle()).toBe(true);
      for (const key of "abcd") {
        const ofKey = ran.filter((offset) => log[offset] === key);
        expect(ofKey).toEqual(ofKey.toSorted((a, b) => a - b));
      }
    }),
    { numRuns: 100 },
  );
});
