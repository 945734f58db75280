import { expect, test } from "bun:test";
import { coveredShare, mergeCoverage, readLcov } from "./coverage.ts";

const source = `/**
 * What it is.
 */
import { a } from "./a.ts";

// why
const one = () => a;
const two = () => a;`;

const lcov = (...hits: readonly [line: number, count: number][]) =>
  readLcov(
    ["SF:/there/a.ts", ...hits.map(([line, count]) => `DA:${line},${count}`), "end_of_record"].join(
      "\n",
    ),
    (path) => path.replace("/there/", ""),
  );

const none: ReturnType<typeof readLcov> = new Map();
const sources = new Map([["a.ts", source]]);

test("a file that no test has loaded counts with every line of code, uncovered", () => {
  expect(mergeCoverage({ sources, bun: none, node: none })).toEqual([
    { file: "a.ts", lines: 3, covered: 0 },
  ]);
});

test("a line is covered when either runtime has run it", () => {
  const bun = lcov([4, 1], [7, 0], [8, 1]);
  const node = lcov([4, 1], [7, 2], [8, 0]);
  expect(mergeCoverage({ sources, bun, node })).toEqual([{ file: "a.ts", lines: 3, covered: 3 }]);
});

test("comments and empty lines, which Node calls covered, do not count", () => {
  const node = lcov([1, 1], [2, 1], [3, 1], [4, 1], [5, 1], [6, 1], [7, 1], [8, 0]);
  expect(mergeCoverage({ sources, bun: none, node })).toEqual([
    { file: "a.ts", lines: 3, covered: 2 },
  ]);
});

test("the share is of lines, not of files", () => {
  const files = [
    { file: "a.ts", lines: 90, covered: 90 },
    { file: "b.ts", lines: 10, covered: 0 },
  ];
  expect(coveredShare(files)).toBe(0.9);
});
