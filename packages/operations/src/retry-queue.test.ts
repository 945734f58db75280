import { expect, test } from "bun:test";
import { compareQueue } from "./retry-queue.ts";
import type { TimedKey } from "./retry-queue.ts";

const at = (second: number) => new Date(second * 1000);

const job = (timer: string, second: number) => ({
  ...{ id: `${timer}-x`, timer, state: "delayed", dueAt: at(second) },
  ...{ startedAt: null, attemptsMade: 0, failedReason: null },
});

const key = (id: number, second: number | null, isTimed = true): TimedKey => ({
  ...{ id, handler: "shop.receipt", topic: "orders", key: `key-${id}`, isTimed },
  dueAt: second === null ? null : at(second),
});

const counts = { waiting: 0, delayed: 3, active: 0, failed: 0 };

const compare = (
  jobs: readonly ReturnType<typeof job>[],
  keys: readonly TimedKey[],
  isWhole = true,
) => {
  const queue = { counts, isWhole, jobs } as Parameters<typeof compareQueue>[1];
  const { jobs: compared, missing } = compareQueue("shop", queue, keys);
  return [
    ...compared.map((one) => `${one.timer} ${one.disagreement ?? "agrees"}`),
    ...missing.map((one) => `${one.id} ${one.disagreement}`),
  ];
};

test("a timer agrees with its key when both are due at the same time, clocks aside", () => {
  expect(compare([job("1", 10), job("2", 20)], [key(1, 10), key(2, 20.9)])).toEqual([
    ...["1 agrees", "2 agrees"],
  ]);
});

test("a timer for another time, for a held key, or for none at all is named", () => {
  expect(compare([job("1", 10), job("2", 20), job("3", 30)], [key(1, 50), key(2, null)])).toEqual([
    ...["1 another due time", "2 another due time", "3 no parked key"],
  ]);
});

test("a key whose timer Redis has lost is named, one that has none yet is not", () => {
  expect(compare([], [key(1, 10), key(2, 20, false)])).toEqual(["1 no timer"]);
});

test("of a part of the queue nothing is said about keys that are due behind it", () => {
  expect(compare([job("1", 10)], [key(1, 10), key(2, 5), key(3, 60)], false)).toEqual([
    ...["1 agrees", "2 no timer"],
  ]);
});
