/** When a consumer is taken to have stalled. Runs on Node, as everything of the Kafka client. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { KafkaRecord } from "@outrider/event";
import { createProgress } from "../../packages/kafka/src/progress.ts";

const at = { topic: "t", partition: 0 };
const record = (offset: number) => ({ ...at, offset }) as KafkaRecord;

const setUp = () => {
  const state = { nowMs: 0, high: 0, isAway: false };
  const excused = new Map<string, number>();
  const create = () =>
    createProgress({
      query: async (partition) => {
        if (state.isAway) throw new Error("away");
        return { ...partition, low: 0, high: state.high };
      },
      stallMs: 100,
      nowMs: () => state.nowMs,
      excused,
    });
  return { state, create };
};

test("a partition that has records and gives none for long is stalled", async () => {
  const { state, create } = setUp();
  const progress = create();
  progress.assigned([{ ...at, offset: 5 }]);
  state.high = 8;
  state.nowMs = 99;
  assert.deepEqual(await progress.stalled(), []);
  state.nowMs = 100;
  assert.deepEqual(await progress.stalled(), [at]);
});

test("one that has none left, gives some, is paused or gone is not", async () => {
  const { state, create } = setUp();
  const progress = create();
  progress.assigned([{ ...at, offset: 5 }]);
  [state.high, state.nowMs] = [5, 1000];
  assert.deepEqual(await progress.stalled(), []);
  state.high = 9;
  progress.delivered([record(5), record(6)]);
  assert.deepEqual(await progress.stalled(), []);
  state.nowMs = 2000;
  progress.paused([at]);
  state.nowMs = 3000;
  assert.deepEqual(await progress.stalled(), []);
  progress.resumed([at]);
  state.nowMs = 3050;
  assert.deepEqual(await progress.stalled(), []);
  state.nowMs = 4000;
  progress.revoked([at]);
  assert.deepEqual(await progress.stalled(), []);
});

test("a broker that is away says nothing about a stall", async () => {
  const { state, create } = setUp();
  const progress = create();
  progress.assigned([{ ...at, offset: 0 }]);
  [state.high, state.nowMs, state.isAway] = [1, 1000, true];
  assert.deepEqual(await progress.stalled(), []);
});

test("a tail that nobody is ever given is a stall once, also for the next consumer", async () => {
  const { state, create } = setUp();
  const stalls = async () => {
    const progress = create();
    progress.assigned([{ ...at, offset: 5 }]);
    state.nowMs += 1000;
    return (await progress.stalled()).length;
  };
  state.high = 6;
  assert.deepEqual([await stalls(), await stalls()], [1, 0]);
  state.high = 7;
  assert.equal(await stalls(), 1);
});
