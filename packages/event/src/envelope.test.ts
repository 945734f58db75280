import { expect, test } from "bun:test";
import { headersFrom } from "./envelope.ts";

test("nothing follows from no cause", () => {
  expect(headersFrom(undefined)).toEqual({});
  expect(headersFrom({})).toEqual({});
});

test("the first of a chain gives its id as correlation and as causation", () => {
  expect(headersFrom({ id: "a" })).toEqual({ correlationId: "a", causationId: "a" });
});

test("along a chain the correlation stays, the causation moves, trace and tenant are kept", () => {
  const kept = { traceparent: "00-1-2-01", tenant: "t" };
  const second = headersFrom({ id: "a", headers: kept });
  expect(second).toEqual({ ...kept, correlationId: "a", causationId: "a" });
  const third = headersFrom({ id: "b", headers: second });
  expect(third).toEqual({ ...kept, correlationId: "a", causationId: "b" });
  const fourth = headersFrom({ id: "c", headers: third });
  expect(fourth).toEqual({ ...kept, correlationId: "a", causationId: "c" });
});

test("a request without an id passes its correlation on and is no causation", () => {
  expect(headersFrom({ headers: { correlationId: "r", causationId: "old" } })).toEqual({
    correlationId: "r",
  });
});
