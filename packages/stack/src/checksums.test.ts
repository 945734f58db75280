import { describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { parseChecksums } from "./checksums.ts";

const sum = "0123456789abcdef".repeat(4);

describe("parseChecksums", () => {
  test("reads what sha256sum writes, in text and in binary mode", () => {
    const sums = parseChecksums(`${sum}  a-1.0.jar\n${sum} *b.jar\n\n`);
    expect([...sums]).toEqual([
      ["a-1.0.jar", sum],
      ["b.jar", sum],
    ]);
  });

  for (const [what, line] of [
    ["a short sum", "abc  a.jar"],
    ["a sum without a name", `${sum}  `],
    ["capital letters", `${sum.toUpperCase()}  a.jar`],
    ["a path", `${sum}  a b.jar`],
  ] as const) {
    test(`refuses ${what}, since a line that is skipped checks nothing`, () => {
      let caught: unknown;
      try {
        parseChecksums(`${sum}  good.jar\n${line}\n`);
      } catch (error) {
        caught = error;
      }
      expect(isFault(caught, "checksum_mismatch")).toBe(true);
    });
  }
});
