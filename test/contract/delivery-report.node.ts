/** Which delivery reports count as delivered. Runs on Node, as all of packages/kafka does. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { refusalOf } from "../../packages/kafka/src/delivery-report.ts";

test("a record with an offset is in the log", () => {
  assert.equal(refusalOf(null, { offset: 0 }), undefined);
  assert.equal(refusalOf(undefined, { offset: 41 }), undefined);
});

test("an error is an error, with or without an offset", () => {
  const error = { code: 10, message: "Message size too large" };
  assert.equal(refusalOf(error, { offset: 3 }), error);
  assert.equal(refusalOf(error, undefined), error);
});

test("a success without an offset is not taken for one", () => {
  for (const report of [undefined, {}, { offset: -1001 }, { offset: Number.NaN }]) {
    assert.match(refusalOf(null, report)?.message ?? "", /without an offset/);
  }
});
