import { expect, test } from "bun:test";
import { duration, many, printable } from "./words.ts";

test("durations are short and in one unit", () => {
  const shown = [0, 3.4, 999, 1000, 4230, 12_900, 61_000, 7_200_000, 200_000_000].map(duration);
  expect(shown).toEqual([
    "0 ms",
    "3 ms",
    "999 ms",
    "1.0 s",
    "4.2 s",
    "12 s",
    "1 min",
    "2 h",
    "2 d",
  ]);
});

test("what an event says cannot draw on the terminal, nor fill it", () => {
  expect(printable("a\u001b[2Jb\n", 20)).toBe("a�[2Jb�");
  expect(printable("x".repeat(30), 10)).toBe(`${"x".repeat(9)}…`);
});

test("one is said in the singular, and where counting stopped there is a plus", () => {
  const said = [0, 1, 2, 5].map((count) => many(count, "event", 5));
  expect(said).toEqual(["0 events", "1 event", "2 events", "5+ events"]);
});
