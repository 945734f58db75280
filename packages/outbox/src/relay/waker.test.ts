import { expect, test } from "bun:test";
import type { Log } from "@outrider/event";
import type { Read } from "./pass.ts";
import type { PendingRow } from "./read.ts";
import { createWaker } from "./waker.ts";

const lease = {
  ...{ owner: "me", epoch: "1", layout: 1 },
  ...{ incarnation: "1", crashes: 0, suspects: undefined, trying: null, tryingCrashes: 0 },
};
const row = { id: 7 } as PendingRow;

/** A waker whose looks are answered by `answer`: the rows of each shard that has some. */
const setUp = (answer: () => Record<number, PendingRow[]>, pollMaxMs = 2) => {
  const warnings: string[] = [];
  const taken: string[] = [];
  let looks = 0;
  const look = async () => {
    looks += 1;
    return new Map(Object.entries(answer()).map(([shard, rows]) => [Number(shard), rows]));
  };
  const log: Log = {
    child: () => log,
    debug: () => {},
    info: () => {},
    warn: (_, message) => void warnings.push(message),
    error: () => {},
  };
  const limits = { pollMinMs: Math.min(1, pollMaxMs), pollMaxMs, batchBytesMax: 1000 };
  const waker = createWaker({ look, log }, limits);
  const plan = (shard: number) => (): Read => ({
    request: { lease: { ...lease, shard }, floor: 0, topics: [], rowsMax: 10 },
    take: (rows) => {
      taken.push(`${shard}: ${rows.length}`);
      return { rows, isFull: false };
    },
  });
  const wait = (shard: number) => waker.wait(shard, plan(shard));
  return { waker, wait, warnings, taken, looks: () => looks };
};

test("a shard is woken with what there is to read, not before", async () => {
  let rows: Record<number, PendingRow[]> = {};
  const { waker, wait, looks, taken } = setUp(() => rows);
  const woken: number[] = [];
  const waits = [1, 2].map(async (shard) => {
    const reading = await wait(shard);
    woken.push(shard);
    return reading;
  });
  while (looks() < 5) await Bun.sleep(1);
  expect(woken).toEqual([]);
  // Each answer is taken note of, also that there is nothing: the floor rises by it.
  expect(taken.slice(0, 2)).toEqual(["1: 0", "2: 0"]);
  rows = { 1: [row] };
  expect(await waits[0]).toEqual({ rows: [row], isFull: false });
  while (looks() < 10) await Bun.sleep(1);
  expect(woken).toEqual([1]);
  waker.wake(2);
  expect(await waits[1]).toBeUndefined();
});

test("rows that were read for an earlier wait are not given to a later one", async () => {
  const answers: PromiseWithResolvers<Map<number, PendingRow[]>>[] = [];
  const look = () => {
    answers.push(Promise.withResolvers());
    return answers.at(-1)?.promise ?? Promise.reject(new Error());
  };
  const waker = createWaker(
    { look, log: undefined as never },
    { pollMinMs: 1, pollMaxMs: 1, batchBytesMax: 1 },
  );
  const read: Read = {
    request: { lease: { ...lease, shard: 1 }, floor: 0, topics: [], rowsMax: 10 },
    take: (rows) => ({ rows, isFull: false }),
  };
  const first = waker.wait(1, () => read);
  while (answers.length < 1) await Bun.sleep(1);
  waker.wake(1);
  expect(await first).toBeUndefined();
  const second = waker.wait(1, () => read);
  answers[0]?.resolve(new Map([[1, [row]]]));
  while (answers.length < 2) await Bun.sleep(1);
  answers[1]?.resolve(new Map([[1, [{ ...row, id: 8 }]]]));
  expect((await second)?.rows.map(({ id }) => id)).toEqual([8]);
});

test("a look that fails wakes everybody, since each must find out for itself", async () => {
  const { wait, warnings } = setUp(() => {
    throw new Error("away");
  });
  expect(await Promise.all([wait(1), wait(2)])).toEqual([undefined, undefined]);
  expect(warnings).toEqual(["idle shards could not be looked over"]);
});

test("nobody looks while nobody waits, and looking begins again with the next", async () => {
  const { wait, looks } = setUp(() => ({ 1: [row] }));
  await wait(1);
  const before = looks();
  await Bun.sleep(20);
  expect(looks()).toBe(before);
  await wait(1);
  expect(looks()).toBe(before + 1);
});

test("waking a shard that does not wait ends its next wait, and only that", async () => {
  const { waker, wait, looks } = setUp(() => ({}));
  waker.wake(5);
  await wait(5);
  expect(looks()).toBe(0);
  let isWoken = false;
  const next = wait(5).then(() => (isWoken = true));
  while (looks() < 5) await Bun.sleep(1);
  expect(isWoken).toBe(false);
  waker.wake(5);
  await next;
});

test("a hint ends the pause between two looks", async () => {
  let rows: Record<number, PendingRow[]> = {};
  const { waker, wait } = setUp(() => rows, 10_000);
  const waited = wait(1);
  await Bun.sleep(60);
  rows = { 1: [row] };
  const startedMs = performance.now();
  waker.hint();
  await waited;
  expect(performance.now() - startedMs).toBeLessThan(1000);
});
