import { expect, test } from "bun:test";
import fc from "fast-check";
import { backoffMs } from "./backoff.ts";

const backoff = { baseMs: 100, capMs: 5_000 };
const almostOne = 1 - Number.EPSILON;

test("the pause is at most base * 2^(failures - 1), and at most the cap", () => {
  const longest = [1, 2, 3, 6, 7, 50, 2000].map((n) => backoffMs(n, backoff, () => almostOne));
  expect(longest).toEqual([100, 200, 400, 3_200, 5_000, 5_000, 5_000]);
});

test("it may be anything down to nothing, so that many do not come back together", () => {
  expect(backoffMs(10, backoff, () => 0)).toBe(0);
  expect(backoffMs(10, backoff, () => 0.5)).toBe(2_500);
});

test("it is a whole number of milliseconds within bounds, however many failures", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100_000 }),
      fc.integer({ min: 1, max: 60_000 }),
      fc.integer({ min: 1, max: 3_600_000 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (failures, baseMs, capMs, drawn) => {
        const ms = backoffMs(failures, { baseMs, capMs }, () => drawn);
        expect(Number.isSafeInteger(ms)).toBe(true);
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThanOrEqual(capMs);
        if (failures < 30) expect(ms).toBeLessThanOrEqual(baseMs * 2 ** (failures - 1));
      },
    ),
  );
});

test("without a source of randomness of one's own it draws from the runtime's", () => {
  const drawn = new Set(Array.from({ length: 50 }, () => backoffMs(20, backoff)));
  expect(drawn.size).toBeGreaterThan(1);
});
