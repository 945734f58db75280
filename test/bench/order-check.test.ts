import { expect, test } from "bun:test";
import { createOrderCheck } from "./order-check.ts";

const run = (expected: number, ...log: [key: string, n: number][]) => {
  const check = createOrderCheck();
  for (const [key, n] of log) check.note(key, Buffer.from(`{"n":${n},"text":""}`));
  return check.result(expected);
};

test("a log in order is sound, duplicates are counted", () => {
  const result = run(3, ["a", 1], ["b", 1], ["a", 1], ["a", 2]);
  expect(result).toEqual({ events: 3, duplicates: 1, problems: [] });
});

test("a lost event, a gap and a swap are found", () => {
  expect(run(3, ["a", 1], ["a", 2]).problems).toEqual(["2 of 3 events are there"]);
  expect(run(3, ["a", 1], ["a", 3]).problems[0]).toBe("event 3 of a came right after event 1");
  expect(run(2, ["a", 2], ["a", 1]).problems).not.toBeEmpty();
});
