import { expect, test } from "bun:test";
import type { Log } from "@outrider/event";
import type { Lease } from "./lease.ts";
import { createWaker } from "./waker.ts";

const idle = (shard: number) => ({
  lease: {
    ...{ shard, owner: "me", epoch: "1", layout: 1 },
    ...{ incarnation: "1", crashes: 0, trying: null },
  },
  floor: 0,
  topics: [],
});

/** A waker whose looks are answered by `answer`: the rows that the statement would give. */
const setUp = (answer: () => { shard: number; pending: boolean }[], pollMaxMs = 2) => {
  const lost: number[] = [];
  const warnings: string[] = [];
  let looks = 0;
  const findPending = async () => {
    looks += 1;
    return new Map(answer().map((row) => [row.shard, row.pending]));
  };
  const log: Log = {
    child: () => log,
    debug: () => {},
    info: () => {},
    warn: (_, message) => void warnings.push(message),
    error: () => {},
  };
  const deps = { findPending, owner: "me", log, onLost: (one: Lease) => void lost.push(one.shard) };
  const waker = createWaker(deps, { pollMinMs: Math.min(1, pollMaxMs), pollMaxMs });
  return { waker, lost, warnings, looks: () => looks };
};

test("a shard is woken when it has something to read, not before", async () => {
  let pending = false;
  const { waker, looks, lost } = setUp(() => [
    { shard: 1, pending },
    { shard: 2, pending: false },
  ]);
  const woken: number[] = [];
  const waits = [1, 2].map((shard) => waker.wait(idle(shard)).then(() => woken.push(shard)));
  while (looks() < 5) await Bun.sleep(1);
  expect(woken).toEqual([]);
  pending = true;
  await waits[0];
  while (looks() < 10) await Bun.sleep(1);
  expect(woken).toEqual([1]);
  waker.wake(2);
  await waits[1];
  expect(lost).toEqual([]);
});

test("a lease that does not come back is lost, and its shard is woken", async () => {
  const { waker, lost } = setUp(() => []);
  await waker.wait(idle(3));
  expect(lost).toEqual([3]);
});

test("a look that fails wakes everybody, since each must find out for itself", async () => {
  const { waker, lost, warnings } = setUp(() => {
    throw new Error("away");
  });
  await Promise.all([waker.wait(idle(1)), waker.wait(idle(2))]);
  expect(warnings).toEqual(["idle shards could not be looked over"]);
  expect(lost).toEqual([]);
});

test("nobody looks while nobody waits, and looking begins again with the next", async () => {
  const { waker, looks } = setUp(() => [{ shard: 1, pending: true }]);
  await waker.wait(idle(1));
  const before = looks();
  await Bun.sleep(20);
  expect(looks()).toBe(before);
  await waker.wait(idle(1));
  expect(looks()).toBe(before + 1);
});

test("waking a shard that does not wait ends its next wait, and only that", async () => {
  const { waker, looks } = setUp(() => [{ shard: 5, pending: false }]);
  waker.wake(5);
  await waker.wait(idle(5));
  expect(looks()).toBe(0);
  let isWoken = false;
  const next = waker.wait(idle(5)).then(() => (isWoken = true));
  while (looks() < 5) await Bun.sleep(1);
  expect(isWoken).toBe(false);
  waker.wake(5);
  await next;
});

test("a hint ends the pause between two looks", async () => {
  let pending = false;
  const { waker } = setUp(() => [{ shard: 1, pending }], 10_000);
  const waited = waker.wait(idle(1));
  await Bun.sleep(60);
  pending = true;
  const startedMs = performance.now();
  waker.hint();
  await waited;
  expect(performance.now() - startedMs).toBeLessThan(1000);
});
