import { expect, test } from "bun:test";
import { occurredMsOf } from "./occurred-at.ts";

test("a time of RFC 3339 in UTC is read to the millisecond, back to the year 1", () => {
  const times: Record<string, number> = {
    "2026-01-02T03:04:05.678Z": Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    "2026-01-02T03:04:05Z": Date.UTC(2026, 0, 2, 3, 4, 5),
    "2026-01-02T03:04:05.678901+00:00": Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    "0001-01-01T00:00:00Z": -62_135_596_800_000,
    "9999-12-31T23:59:59.999Z": 253_402_300_799_999,
    "2024-02-29T00:00:00Z": Date.UTC(2024, 1, 29),
  };
  for (const [text, ms] of Object.entries(times)) expect(occurredMsOf(text)).toBe(ms);
});

test("what is no such time is none", () => {
  const others = [
    ...["", "yesterday", "5", "2026-01-02", "2026-01-02T03:04:05", "02/01/2026 03:04:05 UTC"],
    ...["2026-01-02T03:04:05.678+02:00", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z"],
    ...["2026-02-29T00:00:00Z", "2026-01-02T24:00:00Z", "2026-01-02T03:04:60Z"],
    ...["0000-01-01T00:00:00Z", "+275760-09-13T00:00:00.000Z", "-000001-01-01T00:00:00Z"],
    ...["10000-01-01T00:00:00Z", "2026-01-02T03:04:05Z\n", "infinity"],
  ];
  for (const text of others) expect([text, occurredMsOf(text)]).toEqual([text, undefined]);
});
