import { expect, test } from "bun:test";
import { breakerDefaults, isTooMuch } from "./breaker.ts";

/** Failures by key; a dot is a success. */
const opens = (runs: string): boolean =>
  isTooMuch(
    runs.split("").map((run) => (run === "." ? undefined : run)),
    breakerDefaults,
  );

test("five failures in a row of three keys are too much", () => {
  expect(opens("abcab")).toBe(true);
  expect(opens("....abcab")).toBe(true);
});

test("fewer are not, nor are more of fewer keys", () => {
  expect(opens("abca")).toBe(false);
  expect(opens("aaaaaaaaaabbbbbb")).toBe(false);
  expect(opens("abcab.")).toBe(false);
});

test("half of twenty runs are too much, with successes in between", () => {
  expect(opens(".a.b.c.a.b.c.a.b.c.a")).toBe(true);
  expect(opens(".a.b.c.a.b.c.a.b.c..")).toBe(false);
  expect(opens(".a.b.c.a.b.c.a.b.c.")).toBe(false);
  expect(opens(".a.b.a.a.b.a.a.b.a.a")).toBe(false);
});
