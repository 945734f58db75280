import { describe, expect, test } from "bun:test";
import type { OutboxStatus } from "@outrider/outbox";
import type { Json } from "./operations.ts";
import { describeStatus, problemsOf, ratesOf } from "./relay-status.ts";

const counts = { published: 0, buried: 0, held: 0, failures: 0, late: 0, gaps: 0, repeats: 0 };
const relay = (name: string, published: number) => ({
  ...{ name, startedAt: new Date(0), isAlive: true },
  counts: { ...counts, published },
});
const shard = (number: number, pending: number) => ({
  ...{ shard: number, layout: 1, owner: "one 1", epoch: 3, leaseLeftMs: 4200, pending },
  ...{ oldestAgeMs: pending > 0 ? 1500 : null, crashes: 0 },
});

const statusAt = (second: number, change: Partial<OutboxStatus> = {}): Json<OutboxStatus> => {
  const status: OutboxStatus = {
    at: new Date(second * 1000),
    shards: [shard(0, 0), shard(1, 0)],
    relays: [relay("one 1", 0)],
    ...{ blocked: [], openLetters: [], horizon: null, hangingWriters: [] },
    table: { bytes: 8192, deadRows: 12 },
    drawn: 0,
    ...change,
  };
  // As it comes from the API.
  return JSON.parse(JSON.stringify(status)) as Json<OutboxStatus>;
};

describe("rates", () => {
  test("come from what was drawn and published between two looks", () => {
    const before = statusAt(10, { drawn: 1000, relays: [relay("one 1", 500), relay("two 2", 5)] });
    const relays = [relay("one 1", 700), relay("two 2", 105)];
    const now = statusAt(12, { drawn: 1100, relays, shards: [shard(0, 400), shard(1, 100)] });
    expect(ratesOf(before, now)).toEqual({ arrival: 50, drain: 150, timeToEmptyS: 5 });
  });

  test("a relay that was not there before adds nothing, nor one that has started over", () => {
    const before = statusAt(10, { relays: [relay("one 1", 500)] });
    const now = statusAt(11, { relays: [relay("one 1", 20), relay("new 3", 9000)] });
    expect(ratesOf(before, now).drain).toBe(0);
  });

  test("a backlog that does not get less has no end", () => {
    const now = statusAt(11, { drawn: 100, shards: [shard(0, 10)] });
    expect(ratesOf(statusAt(10), now).timeToEmptyS).toBeNull();
  });
});

const blocked = {
  ...{ letterId: 7, topic: "orders", key: "o-1", eventId: "e", code: "MSG_SIZE_TOO_LARGE" },
  ...{ isReleasing: false, blockedAt: new Date(5000), waiting: 3 },
};

test("shards whose owners end one after the other are told, one that ended is not", () => {
  const shards = [
    { ...shard(0, 9), crashes: 2 },
    { ...shard(3, 9), crashes: 4 },
  ];
  expect(problemsOf(statusAt(10, { shards }))).toEqual([
    "up to 4 relays in a row have ended while they had shards 0, 3; their events go in small " +
      "batches, see the relays' logs",
  ]);
  expect(problemsOf(statusAt(10, { shards: [{ ...shard(0, 9), crashes: 1 }] }))).toEqual([]);
});

test("what needs a human is told by name", () => {
  const unowned = { ...shard(1, 0), owner: null, leaseLeftMs: null };
  const session = { kind: "session", name: "pid 9 psql", ageMs: 61_000, doing: "idle" } as const;
  const status = statusAt(10, {
    shards: [shard(0, 0), unowned],
    relays: [{ ...relay("one 1", 0), isAlive: false }],
    blocked: [blocked, { ...blocked, letterId: 8, isReleasing: true }],
    horizon: session,
    hangingWriters: [session],
  });
  const problems = problemsOf(status);
  expect(problems.slice(0, 3)).toEqual([
    "nobody publishes shards 1",
    "relay one 1 is gone",
    "dead letter 7 blocks a key of orders",
  ]);
  expect(problems[3]).toMatch(/^session pid 9 psql for .* \(idle\) keeps deleted rows$/);
  expect(problems[4]).toMatch(/hangs with an event$/);
  expect(problems).toHaveLength(5);
});

test("the page has shards, relays, blocked keys and a last word", () => {
  const status = statusAt(10, { blocked: [blocked], openLetters: [{ code: "X", count: 2 }] });
  const page = describeStatus(status, {
    rates: { arrival: 0.5, drain: 1234.6, timeToEmptyS: 90 },
    problems: problemsOf(status),
  });
  expect(page).toContain("arrival 0.5/s, drain 1235/s, empty in");
  expect(page).toContain("12 dead rows; dead letters: 2 X");
  expect(page).toMatch(/ +7 +3 +5\.0 s +MSG_SIZE_TOO_LARGE +orders +o-1/);
  expect(page.split("\n").at(-1)).toBe("! dead letter 7 blocks a key of orders");
  const calm = { rates: { arrival: 0, drain: 0, timeToEmptyS: null }, problems: [] };
  const well = describeStatus(statusAt(10), calm);
  expect(well.split("\n").at(-1)).toBe("all is well");
});
