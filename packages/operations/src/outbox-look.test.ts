import { describe, expect, test } from "bun:test";
import { ratesOf } from "./outbox-look.ts";

const at = (second: number, drawn: number, pending: number | null, published: object = {}) => ({
  ...{ atMs: second * 1000, drawn, pending },
  published: new Map<string, number>(Object.entries(published)),
});

describe("rates", () => {
  test("come from what was drawn and published between two looks", () => {
    const before = at(10, 1000, 700, { "one 1": 500, "two 2": 5 });
    const now = at(12, 1100, 500, { "one 1": 700, "two 2": 105 });
    expect(ratesOf(before, now)).toEqual({
      ...{ arrival: 50, drain: 150, growth: -100, timeToEmptyS: 5 },
    });
  });

  test("a relay that was not there before adds nothing, nor one that has started over", () => {
    const now = at(11, 0, 0, { "one 1": 20, "new 3": 9000 });
    expect(ratesOf(at(10, 0, 0, { "one 1": 500 }), now).drain).toBe(0);
  });

  test("a backlog that does not get less, or that nobody can count, has no end", () => {
    expect(ratesOf(at(10, 0, 0), at(11, 100, 10)).timeToEmptyS).toBeNull();
    const uncounted = ratesOf(at(10, 0, null), at(11, 0, null, { "one 1": 5 }));
    expect([uncounted.growth, uncounted.timeToEmptyS]).toEqual([null, null]);
  });
});
