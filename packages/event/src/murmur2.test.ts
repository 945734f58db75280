import { describe, expect, test } from "bun:test";
import { murmur2, partitionOf } from "./murmur2.ts";

/** From Kafka's own tests: org.apache.kafka.common.utils.UtilsTest. */
const known: readonly (readonly [string, number])[] = [
  ["21", -973_932_308],
  ["foobar", -790_332_482],
  ["a-little-bit-long-string", -985_981_536],
  ["a-little-bit-longer-string", -1_486_304_829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971],
  ["abc", 479_470_107],
];

describe("murmur2", () => {
  test.each(known)("of %s is what Kafka's Java clients make of it", (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash);
  });
});

test("a key's partition drops the sign, as the Java clients do", () => {
  // With its absolute value it would be 8.
  expect(partitionOf(Buffer.from("21"), 12)).toBe((-973_932_308 & 0x7fffffff) % 12);
  expect(partitionOf(Buffer.from("abc"), 12)).toBe(479_470_107 % 12);
  expect(partitionOf(Buffer.from(""), 1)).toBe(0);
});
