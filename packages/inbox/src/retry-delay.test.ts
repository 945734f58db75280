import { expect, test } from "bun:test";
import { retryDelayMs } from "./retry-delay.ts";

const retry = {
  ...{ attemptsMax: 16, baseMs: 1000, capMs: 900_000 },
  ...{ retryAfterMaxMs: 3_600_000, versionRetryMaxMs: 60_000 },
};
const delayOf = (runs: number, askedMs?: number, random = 0) =>
  retryDelayMs(retry, { kind: "transient", runs, askedMs, random: () => random });

test("the delay grows with each run, up to its cap", () => {
  const delays = [1, 2, 3, 8, 20, 5000].map((runs) => delayOf(runs, undefined, 1));
  expect(delays).toEqual([1000, 2000, 4000, 128_000, 900_000, 900_000]);
});

test("an event that waits for a newer handler is looked at once a minute at least", () => {
  const of = (runs: number) =>
    retryDelayMs(retry, { kind: "deployment", runs, askedMs: undefined, random: () => 1 });
  expect([1, 5, 7, 500].map(of)).toEqual([1000, 16_000, 60_000, 60_000]);
});

test("what a service asks for is kept, up to a cap", () => {
  expect(delayOf(1, 2000)).toBe(2000);
  for (const asked of [3_600_001, 1e13, Number.MAX_VALUE, Infinity]) {
    expect(delayOf(1, asked)).toBe(3_600_000);
  }
});

test("what a service asks for never makes runs come sooner than the back-off", () => {
  for (const asked of [0, 1, -5, -Infinity, Number.NaN]) {
    expect(delayOf(10, asked, 1)).toBe(512_000);
  }
});
