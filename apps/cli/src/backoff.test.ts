import { describe, expect, test } from "bun:test";
import { deathsAfter, restartDelayMs } from "./backoff.ts";

describe("restartDelayMs", () => {
  test("doubles from half a second up to fifteen", () => {
    const delays = [1, 2, 3, 4, 5, 6, 7, 100].map(restartDelayMs);
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  });
});

describe("deathsAfter", () => {
  test("counts deaths in a row", () => {
    expect(deathsAfter(0, 10)).toBe(1);
    expect(deathsAfter(3, 59_999)).toBe(4);
  });

  test("begins again after a long life", () => {
    expect(deathsAfter(7, 60_000)).toBe(1);
  });
});
