import { expect, test } from "bun:test";
import { percentile, spreadOf } from "./statistics.ts";

test("percentiles are values that were measured, by nearest rank", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect([0.5, 0.99, 1, 0.001].map((p) => percentile(values, p))).toEqual([50, 99, 100, 1]);
  expect(percentile([7], 0.99)).toBe(7);
  expect(() => percentile([], 0.5)).toThrow("no values");
});

test("a spread is median, minimum and maximum", () => {
  expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
});
