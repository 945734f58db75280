import { expect, test } from "bun:test";
import { createAttemptLimit } from "./attempt-limit.ts";

const setUp = (limits: Parameters<typeof createAttemptLimit>[1]) => {
  let nowMs = 0;
  const limit = createAttemptLimit(() => nowMs, limits);
  return { limit, pass: (ms: number) => void (nowMs += ms) };
};

test("an address that has failed too often waits for the end of its window", () => {
  const { limit, pass } = setUp({ failuresMax: 2, windowMs: 1000 });
  limit.failed("a");
  expect(limit.waitMs("a")).toBeUndefined();
  pass(300);
  limit.failed("a");
  expect(limit.waitMs("a")).toBe(700);
  expect(limit.waitMs("b")).toBeUndefined();
  pass(700);
  expect(limit.waitMs("a")).toBeUndefined();
  limit.failed("a");
  expect(limit.waitMs("a")).toBeUndefined();
});

test("addresses are forgotten where there are too many, the first ones first", () => {
  const { limit } = setUp({ failuresMax: 1, addressesMax: 2 });
  for (const address of ["a", "b", "c"]) limit.failed(address);
  expect(["a", "b", "c"].map((one) => limit.waitMs(one) !== undefined)).toEqual([
    ...[false, true, true],
  ]);
});
