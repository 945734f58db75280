import { expect, test } from "bun:test";
import { checkBlame } from "./check-blame.ts";

const kinds = (dead: readonly string[], failures: readonly (readonly [string, number])[]) =>
  checkBlame({ dead, failures: new Map(failures), attemptsMax: 2 }).map((one) => one.kind);

test("an event that has failed as often as it may, may be given up", () => {
  expect(kinds(["a"], [["a", 2]])).toEqual([]);
  expect(kinds(["a"], [["a", 3]])).toEqual([]);
});

test("one that has failed less often, or never, may not", () => {
  expect(kinds(["a"], [["a", 1]])).toEqual(["blamed"]);
  expect(kinds(["b"], [["a", 2]])).toEqual(["blamed"]);
});
