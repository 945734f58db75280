import { expect, test } from "bun:test";
import { tellStory } from "./event-story.ts";
import type { Told } from "./event-story.ts";

const at = (second: number) => new Date(second * 1000);

const quiet: Told = {
  ...{ id: "e", type: "order.created", version: 2, source: "shop", topic: "orders", key: "k" },
  ...{ occurredAt: at(0), replaces: null, outbox: null, recordState: "found", record: null },
  ...{ expected: [], inbox: [], failed: [], external: [], parked: [], letters: [] },
  decisions: [],
};

const record = { topic: "orders", partition: 3, offset: 7, timestamp: at(0), headers: [] };

const tell = (change: Partial<Told>): string[] =>
  tellStory({ ...quiet, ...change }).map((one) =>
    [one.at ? one.at.getTime() / 1000 : "-", one.handler ?? "-", one.text].join(" | "),
  );

const handler = "shop.receipt";
const place = { topic: "orders", partition: 3, offset: 7 };

test("what waits in the outbox says so, and what is held says for which letter", () => {
  const row = { shard: 4, letter: null, type: "t", version: 1, topic: "orders", key: "k" };
  const outbox = { ...row, state: "pending", createdAt: at(1) } as const;
  expect(tell({ outbox, recordState: "not published" })).toEqual([
    "1 | - | order.created, version 2 of k, from shop",
    "- | - | is in the outbox, not published yet, shard 4",
  ]);
  const held = { ...outbox, state: "held", shard: null, letter: 9 } as const;
  expect(tell({ outbox: held }).at(-1)).toBe(
    "- | - | is held in the outbox: dead letter 9 blocks its key",
  );
});

test("attempts, decisions, letters and the end stand in the order in which they happened", () => {
  const failed = { handler, attempt: 1, kind: "retryable", code: "BROKEN", message: "no" } as const;
  const history = { by: null, message: "no", replacedBy: null, redrive: null };
  const story = tell({
    record: { ...record, payload: "{}", payloadBytes: 2 },
    failed: [
      { ...failed, at: at(2) },
      { ...failed, at: at(8), attempt: null, kind: "killed" },
    ],
    external: [{ handler, attempt: 3, startedAt: at(11), endedAt: at(12), outcome: "ok" }],
    inbox: [{ handler, state: "handled", ...place, recordedAt: at(10) }],
    decisions: [
      { at: at(4), by: "ann", action: "postponeParked", details: { handler, until: "noon" } },
      { at: at(5), by: "bob", action: "buryParked", details: { handler } },
    ],
    letters: [
      {
        ...{ id: 5, handler, state: "redriven", ...place, skipped: false },
        history: [
          { ...history, at: at(6), action: "buried" },
          { ...history, at: at(7), action: "redriven", by: "ann", redrive: 2 },
        ],
      },
    ],
  });
  expect(story.slice(1)).toEqual([
    "- | - | is in Kafka: orders, partition 3, offset 7",
    `2 | ${handler} | attempt 1 failed: retryable, BROKEN: no`,
    `4 | ${handler} | postponed until noon, by ann`,
    `6 | ${handler} | dead letter 5 given up: no`,
    `7 | ${handler} | dead letter 5 redriven by ann, redrive 2: no`,
    `8 | ${handler} | an attempt that does not count failed: its process ended: no`,
    `12 | ${handler} | run 3 ended after 1000 ms: ok`,
    `12 | ${handler} | handled, its effects committed`,
  ]);
});

test("attempts in a row that failed alike are told as the first, the last and their number", () => {
  const away = { handler, attempt: null, kind: "transient", code: "AWAY", message: "no" } as const;
  const other = "shop.other";
  const failed = [
    ...Array.from({ length: 115 }, (_, n) => ({ ...away, at: at(10 + n * 10) })),
    { ...away, handler: other, at: at(500) },
    { ...away, attempt: 1, kind: "retryable", code: "BROKEN", at: at(2000) } as const,
    ...[2010, 2020].map((second) => ({ ...away, at: at(second) })),
  ];
  const external = Array.from({ length: 115 }, (_, n) => ({
    ...{ handler, attempt: n + 1, outcome: "AWAY" },
    ...{ startedAt: at(8 + n * 10), endedAt: at(9 + n * 10) },
  }));
  expect(tell({ failed, external }).slice(2)).toEqual([
    `9 | ${handler} | run 1 ended after 1000 ms: AWAY`,
    `10 | ${handler} | an attempt that does not count failed: transient, AWAY: no`,
    `500 | ${other} | an attempt that does not count failed: transient, AWAY: no`,
    `1150 | ${handler} | an attempt that does not count, and 113 more before it, failed: ` +
      "transient, AWAY: no",
    `2000 | ${handler} | attempt 1 failed: retryable, BROKEN: no`,
    `2010 | ${handler} | an attempt that does not count failed: transient, AWAY: no`,
    `2020 | ${handler} | an attempt that does not count failed: transient, AWAY: no`,
  ]);
});

test("what it waits for comes last", () => {
  const parked: Told["parked"][number] = {
    ...{ handler, head: 1, ...place, runs: 1, attempts: 1, parkedAt: at(1) },
    ...{ state: "due", dueAt: at(60), isRunning: false, ahead: 0 },
  };
  const last = (change: Partial<Told>) => tell(change).at(-1);
  expect(last({ parked: [parked] })).toContain("is tried again at 1970-01-01T00:01:00.000Z");
  expect(last({ parked: [{ ...parked, isRunning: true }] })).toContain("runs right now");
  expect(last({ parked: [{ ...parked, ahead: 4 }] })).toContain("waits behind 4 events of its key");
  expect(last({ parked: [{ ...parked, state: "dead" }] })).toContain("waits for a decision");
  expect(last({ expected: [{ handler, group: "shop", behind: 12 }] })).toBe(
    `- | ${handler} | not handled yet: group shop is 12 records before it`,
  );
  expect(last({ recordState: "removed" })).toContain("the topic has let go of it");
});
