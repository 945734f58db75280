import { expect, test } from "bun:test";
import type { FaultCode } from "@outrider/event";
import { refusalOf } from "./answer.ts";

const nowMs = Date.parse("2026-11-20T10:00:00Z");
const codeOf = (status: number) => refusalOf("The service", { status, headers: {} }, nowMs)?.code;

test("a status says whether to ask later, never, or a few times more", () => {
  const expected: Readonly<Record<string, readonly number[]>> = {
    none: [200, 201, 204, 299],
    unavailable: [408, 425, 429, 502, 503, 504],
    invalid: [400, 413, 414, 415, 422],
    internal: [300, 301, 302, 303, 304, 307, 308, 399, 401, 403, 404, 409, 500, 501, 599],
  };
  for (const [code, statuses] of Object.entries(expected)) {
    const found = statuses.map((status) => [status, codeOf(status) ?? "none"]);
    expect(found).toEqual(statuses.map((status) => [status, code as FaultCode]));
  }
});

test("the time in Retry-After is kept, as seconds or as a date", () => {
  const asked = (text: string) =>
    refusalOf("The service", { status: 503, headers: { "retry-after": text } }, nowMs)
      ?.retryAfterMs;
  expect(asked("7")).toBe(7000);
  expect(asked(" 7 ")).toBe(7000);
  expect(asked("Fri, 20 Nov 2026 10:00:30 GMT")).toBe(30_000);
  expect(asked("9".repeat(400))).toBe(Infinity);
  for (const text of ["0", "-1", "soon", "", "Fri, 20 Nov 2026 09:59:59 GMT"]) {
    expect([text, asked(text)]).toEqual([text, undefined]);
  }
});
