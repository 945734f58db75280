import { expect, test } from "bun:test";
import { checkEffects } from "./check-effects.ts";

const rows = (values: Record<string, unknown>) => new Map(Object.entries(values));
const expected = rows({ ann: { orders: 2, revenue: 300 }, bob: { orders: 1, revenue: 50 } });

const kinds = (actual: Record<string, unknown>) =>
  checkEffects(expected, rows(actual)).map((one) => `${one.kind} ${one.subject}`);

test("rows that are what the events say are no violation", () => {
  expect(kinds({ bob: { orders: 1, revenue: 50 }, ann: { orders: 2, revenue: 300 } })).toEqual([]);
});

test("an event that took effect twice is caught", () => {
  expect(kinds({ ann: { orders: 3, revenue: 400 }, bob: { orders: 1, revenue: 50 } })).toEqual([
    "wrong-effect ann",
  ]);
});

test("an event that took no effect is caught", () => {
  expect(kinds({ ann: { orders: 1, revenue: 200 } })).toEqual([
    "wrong-effect ann",
    "missing-effect bob",
  ]);
});

test("a row that no event caused is caught", () => {
  expect(
    kinds({
      ann: { orders: 2, revenue: 300 },
      bob: { orders: 1, revenue: 50 },
      eve: { orders: 1, revenue: 1 },
    }),
  ).toEqual(["unexpected-effect eve"]);
});
