/** Timers for parked keys: set once for each due time, and worth nothing but time. */

import { afterEach, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { OpenTimers, Timer } from "@outrider/event";
import { startTiming } from "../../packages/inbox/src/parking/timing.ts";
import type { Timing } from "../../packages/inbox/src/parking/timing.ts";
import {
  emptied,
  feed,
  handlerOf,
  name,
  recordsOf,
  resolved,
  sql,
  startRunning,
  useParkingScene,
} from "../support/parking-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

useParkingScene();

let timings: Timing[] = [];

afterEach(async () => {
  await Promise.all(timings.map((one) => one.stop()));
  timings = [];
});

/** Keeps what was set; it fires when the test says so. */
const createClock = () => {
  const set: Timer[] = [];
  const failures: number[] = [];
  const state = { isAway: false, fire: (_id: string) => {} };
  const openTimers: OpenTimers = (_queue, onDue) => {
    state.fire = onDue;
    return {
      set: async (timers) => {
        if (state.isAway) throw new Error("away");
        set.push(...timers);
      },
      isHealthy: () => !state.isAway,
      check: async () => {
        if (state.isAway) throw new Error("away");
      },
      close: async () => {},
    };
  };
  return { set, failures, state, openTimers };
};

const start = (
  { openTimers, failures }: ReturnType<typeof createClock>,
  onDue = () => {},
): Timing => {
  const onTimersFailed = (count: number): void => void failures.push(count);
  const deps = { sql, log: silentLog, openTimers, onDue, onTimersFailed };
  const one = startTiming("test", [name], deps);
  timings.push(one);
  return one;
};

const later = (retryAfterMs: number) => fault("conflict", "not before then", { retryAfterMs });

/** Three keys whose events fail and are due in ten minutes. */
const parkThree = () => {
  const failing = handlerOf(() => later(600_000));
  return resolved(feed(failing, recordsOf("a1 b1 c1")));
};

test("every key that is due later has one timer, whoever sets it", async () => {
  const clock = createClock();
  const both = [start(clock), start(clock)];
  await parkThree();
  for (const one of both) one.nudge();
  await until(() => clock.set.length >= 3, { what: "the timers" });
  for (const one of both) one.nudge();
  await delay(100);
  expect(clock.set).toHaveLength(3);
  for (const { delayMs } of clock.set) expect(delayMs).toBeWithin(590_000, 600_001);
  expect(new Set(clock.set.map((one) => one.id)).size).toBe(3);
});

test("a timer that fires early is set again, for the rest", async () => {
  const clock = createClock();
  let dues = 0;
  const timing = start(clock, () => (dues += 1));
  await parkThree();
  timing.nudge();
  await until(() => clock.set.length === 3, { what: "the timers" });
  const [first] = clock.set as [Timer];
  clock.state.fire(first.id);
  await until(() => clock.set.length === 4, { what: "the timer of the rest" });
  expect([dues, clock.set[3]?.id]).toEqual([1, first.id]);
});

test("while timers cannot be set, that is counted, and keys are found by looking", async () => {
  const clock = createClock();
  clock.state.isAway = true;
  const timing = start(clock);
  const handler = handlerOf((_, attempt) => attempt === 1 && later(100));
  await resolved(feed(handler, recordsOf("a1 b1")));
  timing.nudge();
  expect(String(await timing.check().catch((error: unknown) => error))).toContain("away");
  const failed = () => clock.failures.reduce((sum, count) => sum + count, 0);
  await until(() => failed() >= 2, { what: "both failures" });
  startRunning(handler);
  await emptied("parked_heads");
  expect([clock.set, failed()]).toEqual([[], 2]);
});
