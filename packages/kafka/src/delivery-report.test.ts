import { expect, test } from "bun:test";
import { refusalOf } from "./delivery-report.ts";

test("a record with an offset is in the log", () => {
  expect(refusalOf(null, { offset: 0 })).toBeUndefined();
  expect(refusalOf(undefined, { offset: 41 })).toBeUndefined();
});

test("an error is an error, with or without an offset", () => {
  const error = { code: 10, message: "Message size too large" };
  expect(refusalOf(error, { offset: 3 })).toBe(error);
  expect(refusalOf(error, undefined)).toBe(error);
});

test("a success without an offset is not taken for one", () => {
  for (const report of [undefined, {}, { offset: -1001 }, { offset: Number.NaN }]) {
    expect(refusalOf(null, report)?.message).toContain("without an offset");
  }
});
