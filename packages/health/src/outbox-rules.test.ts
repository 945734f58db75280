import { expect, test } from "bun:test";
import { judgeOutbox } from "./outbox-rules.ts";
import type { OutboxFacts } from "./outbox-rules.ts";
import { thresholds } from "./thresholds.ts";

const shard = (number: number, pending: number, oldestAgeMs: number | null = null) => ({
  ...{ shard: number, layout: 1, owner: "one 1", epoch: 3, leaseLeftMs: 4200, pending },
  ...{ oldestAgeMs, crashes: 0 },
});
const relay = { name: "one 1", startedAt: new Date(0), isAlive: true, troubles: [] };
const holder = { kind: "session", name: "pid 9 psql", ageMs: 61_000, doing: "idle" } as const;
const blocked = {
  ...{ letterId: 7, topic: "orders", key: "o-1", eventId: "e", code: "MSG_SIZE_TOO_LARGE" },
  ...{ isReleasing: false, blockedAt: new Date(5000), waiting: 3 },
};

const facts = (change: Partial<OutboxFacts> = {}): OutboxFacts => ({
  ...{ at: new Date(0), shards: [shard(0, 5, 20), shard(1, 0)], relays: [relay], blocked: [] },
  ...{ openLetters: [], horizon: null, hangingWriters: [], rates: null, limits: thresholds },
  ...{ table: { bytes: 8192, deadRows: 12 }, drawn: 0 },
  ...change,
});

const rates = (arrival: number, drain: number, growth: number | null) => {
  return { arrival, drain, growth, timeToEmptyS: null };
};
const trouble = (kind: "refused" | "stuck" | "failing", number: number, topic: string | null) => {
  return { kind, shard: number, topic, reason: "UNKNOWN_TOPIC" };
};

/** Each rule: what is just well, what is not any more, and what is said of it. */
const cases: Readonly<
  Record<string, readonly [well: Partial<OutboxFacts>, wrong: Partial<OutboxFacts>, said: RegExp]>
> = {
  shard_unowned: [
    {},
    { shards: [{ ...shard(1, 0), owner: null }, shard(2, 0)] },
    /^nobody publishes shards 1$/,
  ],
  shard_crashes: [
    { shards: [{ ...shard(0, 9), crashes: 1 }] },
    { shards: [0, 3].map((number) => ({ ...shard(number, 9), crashes: number + 2 })) },
    /^up to 5 relays in a row have ended while they had shards 0, 3/,
  ],
  relay_gone: [{}, { relays: [{ ...relay, isAlive: false }] }, /^relay one 1 is gone/],
  topic_refused: [
    {},
    {
      relays: [
        { ...relay, troubles: [trouble("refused", 3, "orders")] },
        { ...relay, troubles: [trouble("refused", 1, "orders")] },
      ],
    },
    /^Kafka refuses orders: UNKNOWN_TOPIC \(shards 1, 3\)$/,
  ],
  topic_stuck: [
    {},
    { relays: [{ ...relay, troubles: [trouble("stuck", 1, "orders")] }] },
    /does not acknowledge records of orders/,
  ],
  shard_failing: [
    {},
    { relays: [{ ...relay, troubles: [trouble("failing", 4, null)] }] },
    /^shards 4 fail: UNKNOWN_TOPIC$/,
  ],
  key_blocked: [
    { blocked: [{ ...blocked, isReleasing: true }] },
    { blocked: [blocked] },
    /^dead letter 7 blocks a key of orders$/,
  ],
  relay_letters: [
    { blocked: [{ ...blocked, isReleasing: true }], openLetters: [{ code: "X", count: 1 }] },
    { openLetters: [{ code: "X", count: 1 }] },
    /^relays have given up 1 event$/,
  ],
  outbox_old: [
    { shards: [shard(2, 5, thresholds.outboxAgeMaxMs)] },
    { shards: [shard(2, 5, thresholds.outboxAgeMaxMs + 1), shard(3, 1, 5)] },
    /^the oldest event of shards 2 has waited for 1 min$/,
  ],
  outbox_grows: [
    { shards: [shard(0, 5000, 20_000)], rates: rates(100, 200, -100) },
    { shards: [shard(0, 5000, 20_000)], rates: rates(200, 100, 100) },
    /^5000 events wait, 200\/s arrive and 100\/s go$/,
  ],
  horizon_held: [
    {},
    { horizon: holder },
    /^session pid 9 psql for 1 min \(idle\) keeps deleted rows$/,
  ],
  writer_hangs: [{}, { hangingWriters: [holder] }, /hangs with an event$/],
};

test.each(Object.entries(cases))("%s: it is well up to there, and no further", (rule, one) => {
  const [well, wrong, said] = one;
  expect(judgeOutbox(facts(well))).toEqual([]);
  const found = judgeOutbox(facts(wrong));
  expect(found.map((finding) => finding.rule)).toEqual([rule]);
  expect(found[0]?.reason).toMatch(said);
  expect(found[0]?.next).not.toBe("");
});

test("a backlog grows when it is neither small nor new, counted or not", () => {
  const grows = (count: number, ageMs: number, growth: number | null) =>
    judgeOutbox(facts({ shards: [shard(0, count, ageMs)], rates: rates(200, 100, growth) }));
  expect(grows(5000, thresholds.growthAgeMinMs - 1, 100)).toEqual([]);
  expect(grows(thresholds.backlogMin - 1, 20_000, 100)).toEqual([]);
  expect(grows(100_000, 20_000, null)).toHaveLength(1);
});
