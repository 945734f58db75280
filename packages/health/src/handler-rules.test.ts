import { expect, test } from "bun:test";
import { judgeHandler, judgeRunning } from "./handler-rules.ts";
import type { HandlerFacts } from "./handler-rules.ts";
import { thresholds } from "./thresholds.ts";

const facts = (change: Partial<HandlerFacts> = {}): HandlerFacts => ({
  ...{ name: "shop.receipt", group: "shop", workers: 2, openLetters: 0, parkedEvents: 0 },
  ...{ oldestParkedAgeMs: 0, breaker: null, failing: [], missingTopics: [], behind: null },
  limits: thresholds,
  ...change,
});

const { stallMaxMs, lagAgeMaxMs, parkedAgeMaxMs, runsMax } = thresholds;
const behind = (ageMs: number, movedMs: number | null) => {
  return { topic: "orders", partition: 3, records: 7, ageMs, movedMs };
};

/** Each rule: what is just well, what is not any more, and what is said of it. */
const cases: Readonly<
  Record<string, readonly [well: Partial<HandlerFacts>, wrong: Partial<HandlerFacts>, said: RegExp]>
> = {
  topic_missing: [{}, { missingTopics: ["orders"] }, /reads orders, which Kafka does not have$/],
  breaker_open: [{}, { breaker: { code: "X", message: "no" } }, /is held back.*X: no$/],
  // One whose group nobody knows is a replay's, which no worker has.
  handler_not_run: [{ workers: 0, group: null }, { workers: 0 }, /^nobody runs shop.receipt$/],
  version_unknown: [
    {},
    { failing: [{ code: "version_unknown", events: 1, runsMax: 1 }] },
    /does not know the version of 1 event$/,
  ],
  events_failing: [
    { failing: [{ code: "X", events: 2, runsMax: runsMax - 1 }] },
    { failing: [{ code: "X", events: 2, runsMax }] },
    /gets nowhere with 2 events that fail with X, after up to 10 runs$/,
  ],
  handler_letters: [{}, { openLetters: 1 }, /has given up 1 event$/],
  // A record that has just come after a long rest is no stall.
  partition_stalled: [
    { behind: behind(stallMaxMs, 10 * stallMaxMs) },
    { behind: behind(stallMaxMs + 1, 10 * stallMaxMs) },
    /^the group of shop.receipt got no further for 10 min in orders\/3: 7 records wait/,
  ],
  handler_behind: [
    { behind: behind(lagAgeMaxMs, 5) },
    { behind: behind(lagAgeMaxMs + 1, 5) },
    /^shop.receipt is 5 min behind$/,
  ],
  parked_old: [
    { parkedEvents: 3, oldestParkedAgeMs: parkedAgeMaxMs },
    { parkedEvents: 3, oldestParkedAgeMs: parkedAgeMaxMs + 1 },
    /^3 events of shop.receipt are parked, the first for 1 h$/,
  ],
};

test.each(Object.entries(cases))("%s: it is well up to there, and no further", (rule, one) => {
  const [well, wrong, said] = one;
  expect(judgeHandler(facts(well))).toEqual([]);
  const found = judgeHandler(facts(wrong));
  expect(found.map((finding) => finding.rule)).toEqual([rule]);
  expect(found[0]?.reason).toMatch(said);
  expect(found[0]?.next).not.toBe("");
});

test("a group that has never begun stalls, too; one that nobody runs is told of as that", () => {
  const stuck = { behind: behind(stallMaxMs + 1, null) };
  expect(judgeHandler(facts(stuck))[0]?.reason).toContain("has never begun in orders/3");
  const found = judgeHandler(facts({ ...stuck, workers: 0 }));
  expect(found.map((one) => one.rule)).toEqual(["handler_not_run"]);
});

test("workers that end one after the other are told, a few that ended are not", () => {
  const gone = (count: number) =>
    Array.from({ length: count + 1 }, (_, at) => ({ name: `w ${at}`, isAlive: at === 0 }));
  const judge = (count: number) => judgeRunning({ workers: gone(count), limits: thresholds });
  expect(judge(2)).toEqual([]);
  expect(judge(3)[0]).toMatchObject({
    ...{ rule: "workers_gone", name: "w 1, w 2, w 3" },
    reason: "3 workers ended without a word within an hour",
  });
});

test("that Redis could not be asked is told: retries come late then", () => {
  const [found] = judgeRunning({ workers: [], timersFailure: "it is away", limits: thresholds });
  expect(found?.reason).toBe("retries come late: it is away");
});

test("that Kafka could not be asked is told: nobody knows then how far handlers are behind", () => {
  const [found] = judgeRunning({ workers: [], failure: "no answer.", limits: thresholds });
  // A reason has no full stop, whoever has said it.
  expect(found?.reason).toBe("nobody knows the lag: no answer");
});
