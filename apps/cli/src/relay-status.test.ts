import { expect, test } from "bun:test";
import type { OutboxLook } from "@outrider/operations";
import type { Json } from "./operations.ts";
import { describeStatus } from "./relay-status.ts";

const look = (change: Partial<OutboxLook> = {}): Json<OutboxLook> => {
  const counts = { published: 0, buried: 0, held: 0, failures: 0, late: 0, gaps: 0, repeats: 0 };
  const shard = { shard: 0, layout: 1, owner: "one 1", epoch: 3, leaseLeftMs: 4200, crashes: 0 };
  const relay = { name: "one 1", startedAt: new Date(0), isAlive: true, counts, troubles: [] };
  const status: OutboxLook = {
    ...{ at: new Date(10_000), shards: [{ ...shard, pending: 0, oldestAgeMs: null }] },
    ...{ relays: [relay], blocked: [], openLetters: [], horizon: null, hangingWriters: [] },
    ...{ table: { bytes: 8192, deadRows: 12 }, drawn: 0, rates: null, findings: [] },
    ...change,
  };
  // As it comes from the API.
  return JSON.parse(JSON.stringify(status)) as Json<OutboxLook>;
};

test("the page has shards, relays, blocked keys, rates, and findings with what to do", () => {
  const blocked = {
    ...{ letterId: 7, topic: "orders", key: "o-1", eventId: "e", code: "MSG_SIZE_TOO_LARGE" },
    ...{ isReleasing: false, blockedAt: new Date(5000), waiting: 3 },
  };
  const finding = { entity: "key", name: "7", rule: "key_blocked", reason: "it blocks" } as const;
  const page = describeStatus(
    look({
      ...{ blocked: [blocked], openLetters: [{ code: "X", count: 2 }] },
      rates: { arrival: 0.5, drain: 1234.6, growth: -1234.1, timeToEmptyS: 90 },
      findings: [{ ...finding, next: "release it" }],
    }),
  );
  expect(page).toContain("arrival 0.5/s, drain 1235/s, empty in 1 min");
  expect(page).toContain("12 dead rows; dead letters: 2 X");
  expect(page).toMatch(/ +7 +3 +5\.0 s +MSG_SIZE_TOO_LARGE +orders +o-1/);
  expect(page.split("\n").at(-1)).toBe("! it blocks; release it");
  expect(describeStatus(look()).split("\n").at(-1)).toBe("all is well");
});
