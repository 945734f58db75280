import { expect, test } from "bun:test";
import { duration, printable, textTable } from "./text-table.ts";

test("columns are aligned, numbers to the right, and no line ends in blanks", () => {
  const table = textTable(
    ["shard", "owner", "pending"],
    [
      [0, "host-a 12", 7],
      [10, "-", 1200],
    ],
  );
  expect(table.split("\n")).toEqual([
    "shard  owner      pending",
    "    0  host-a 12        7",
    "   10  -             1200",
  ]);
});

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
