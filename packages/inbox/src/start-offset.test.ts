import { expect, test } from "bun:test";
import { startOffset } from "./start-offset.ts";
import type { Start } from "./start-offset.ts";

const at = (low: number, high: number) => ({ topic: "t", partition: 0, low, high });

const table: readonly (readonly [string, number, number, number | undefined, Start])[] = [
  ["no watermark: from the beginning", 0, 10, undefined, { kind: "from", offset: 0 }],
  ["no watermark, old records deleted: what is left", 5, 9, undefined, { kind: "from", offset: 5 }],
  ["in the log: from the watermark", 0, 10, 7, { kind: "from", offset: 7 }],
  ["at the first record", 5, 10, 5, { kind: "from", offset: 5 }],
  ["at the end: what comes next", 0, 10, 10, { kind: "from", offset: 10 }],
  ["an empty log", 0, 0, 0, { kind: "from", offset: 0 }],
  ["below the first: a gap", 5, 10, 4, { kind: "gap", offset: 5, missing: 1 }],
  ["all deleted: a gap", 10, 10, 0, { kind: "gap", offset: 10, missing: 10 }],
  ["beyond the end: another log", 0, 10, 11, { kind: "beyond", watermark: 11 }],
  ["beyond an empty log: the topic was made anew", 0, 0, 1, { kind: "beyond", watermark: 1 }],
];

for (const [name, low, high, watermark, start] of table) {
  test(name, () => expect(startOffset(at(low, high), watermark)).toEqual(start));
}
