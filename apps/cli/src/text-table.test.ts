import { expect, test } from "bun:test";
import { textTable } from "./text-table.ts";

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
