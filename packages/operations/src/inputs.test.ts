import { expect, test } from "bun:test";
import * as v from "valibot";
import { moment } from "./inputs.ts";

const takes = (schema: v.GenericSchema, value: unknown) => v.is(schema, value);

test("a time is refused when its day or its clock does not exist", () => {
  const right = ["2026-01-31T12:00:00Z", "2028-02-29T23:59:59.123456+14:00", "1971-01-01T00:00Z"];
  const wrong = [
    "2026-02-29T12:00:00Z",
    "1969-12-31T23:59:59Z",
    "2026-04-31T12:00:00Z",
    "2026-01-31T24:00:00Z",
  ].concat([
    ...["2026-13-01T12:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31", "", "10000-01-01T00:00:00Z"],
    ...["2026-01-31T12:00:00", "2026-01-31T12:00:00+24:00"],
  ]);
  expect(right.filter((value) => !takes(moment, value))).toEqual([]);
  expect(wrong.filter((value) => takes(moment, value))).toEqual([]);
});
