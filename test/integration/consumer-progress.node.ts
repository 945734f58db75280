/** When a consumer is taken to have stalled. Runs on Node, as everything of the Kafka client. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { KafkaRecord } from "@outrider/event";
import { createLivedClock } from "../../packages/kafka/src/lived-clock.ts";
import { createProgress } from "../../packages/kafka/src/progress.ts";
import { until } from "../support/until.ts";

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

test("a record that is there and does not come for long is a stall", async () => {
  const { state, create } = setUp();
  const progress = create();
  progress.assigned([{ ...at, offset: 5 }]);
  state.high = 8;
  assert.deepEqual(await progress.stalled(), []);
  state.nowMs = 99;
  assert.deepEqual(await progress.stalled(), []);
  state.nowMs = 100;
  assert.deepEqual(await progress.stalled(), [at]);
});

test("a record that has just come is no stall, however long nothing came before it", async () => {
  const { state, create } = setUp();
  const progress = create();
  progress.assigned([{ ...at, offset: 5 }]);
  state.high = 5;
  assert.deepEqual(await progress.stalled(), []);
  [state.high, state.nowMs] = [6, 3_600_000];
  assert.deepEqual(await progress.stalled(), []);
  progress.delivered([record(5)]);
  [state.high, state.nowMs] = [7, 3_600_099];
  assert.deepEqual(await progress.stalled(), []);
  state.nowMs += 101;
  assert.deepEqual(await progress.stalled(), [at]);
});

test("one that has none left, gives some, is paused or gone is not stalled", async () => {
  const { state, create } = setUp();
  const progress = create();
  const look = async (nowMs: number) => {
    state.nowMs = nowMs;
    return (await progress.stalled()).length;
  };
  progress.assigned([{ ...at, offset: 5 }]);
  state.high = 5;
  assert.deepEqual([await look(0), await look(1000)], [0, 0]);
  state.high = 9;
  assert.equal(await look(1000), 0);
  progress.delivered([record(5), record(6)]);
  assert.equal(await look(2000), 0);
  progress.paused([at]);
  assert.equal(await look(3000), 0);
  progress.resumed([at]);
  assert.equal(await look(3000), 0);
  assert.equal(await look(3050), 0);
  progress.revoked([at]);
  assert.equal(await look(4000), 0);
});

test("the time in which a broker was away does not count", async () => {
  const { state, create } = setUp();
  const progress = create();
  progress.assigned([{ ...at, offset: 0 }]);
  state.high = 1;
  assert.deepEqual(await progress.stalled(), []);
  [state.nowMs, state.isAway] = [1000, true];
  assert.deepEqual(await progress.stalled(), []);
  state.isAway = false;
  assert.deepEqual(await progress.stalled(), []);
});

test("a tail that nobody is ever given is a stall once, also for the next consumer", async () => {
  const { state, create } = setUp();
  const stalls = async () => {
    const progress = create();
    progress.assigned([{ ...at, offset: 5 }]);
    await progress.stalled();
    state.nowMs += 1000;
    return (await progress.stalled()).length;
  };
  state.high = 6;
  assert.deepEqual([await stalls(), await stalls()], [1, 0]);
  state.high = 7;
  assert.equal(await stalls(), 1);
});

test("a clock that its process's pauses and blocked loops stop", async () => {
  let monotonicMs = 1000;
  const clock = createLivedClock(() => monotonicMs);
  monotonicMs += 400;
  await until(() => clock.nowMs() === 400, { what: "a tick" });
  monotonicMs += 70_000;
  await until(() => clock.nowMs() > 400, { what: "another" });
  assert.ok(clock.nowMs() < 1000);
});
