/** What every `OpenTimers` must do, as a suite over a factory; runs under Node and Bun alike. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, describe, test } from "node:test";
import type { OpenTimers, Timer, Timers } from "@outrider/event";
import { until } from "../support/until.ts";

/** A clock of milliseconds, and the rounding of it. */
const earlyMsMax = 2;
/** Of a machine that does much else meanwhile. */
const lateMsMax = 2_000;

export type Fired = Readonly<{ id: string; atMs: number }>;

export type Opened = Readonly<{ timers: Timers; fired: Fired[] }>;

/** Opens a queue and keeps what fires there; resolves when it can be used. */
export const openAndKeep = async (openTimers: OpenTimers, queue: string): Promise<Opened> => {
  const fired: Fired[] = [];
  const timers = openTimers(queue, (id) => void fired.push({ id, atMs: Date.now() }));
  await until(() => timers.isHealthy(), { what: "health" });
  return { timers, fired };
};

export const describeTimers = (name: string, openTimers: OpenTimers): void => {
  describe(`timers ${name}`, () => {
    const opened: Timers[] = [];
    const open = async (queue: string): Promise<Opened> => {
      const one = await openAndKeep(openTimers, queue);
      opened.push(one.timers);
      return one;
    };
    afterEach(() => Promise.all(opened.splice(0).map((timers) => timers.close())));

    const newQueue = (): string => `test-${randomUUID()}`;
    const idsOf = (fired: readonly Fired[]): string[] => fired.map(({ id }) => id).toSorted();

    test("fire once each, near their time and never before it", async () => {
      const { timers, fired } = await open(newQueue());
      // Enough of them, apart, that some have nothing that makes them late.
      const apart = Array.from({ length: 30 }, (_, n) => 300 + n * 50);
      const delays = [0, 1, 40, 40, 250.4, ...apart];
      const setAtMs = Date.now();
      await timers.set(delays.map((delayMs, at) => ({ id: `${at}`, delayMs })));
      await until(() => fired.length >= delays.length, { what: "all of them" });
      for (const { id, atMs } of fired) {
        const off = atMs - setAtMs - (delays[Number(id)] ?? 0);
        assert.ok(off >= -earlyMsMax && off < lateMsMax, `${id} is ${off} ms off`);
      }
      assert.deepEqual(idsOf(fired), Object.keys(delays).toSorted());
    });

    test("wake a queue that has been empty, and one that waits for a later timer", async () => {
      const { timers, fired } = await open(newQueue());
      await timers.set([{ id: "later", delayMs: 60_000 }]);
      for (const id of ["first", "second"]) {
        const setAtMs = Date.now();
        await timers.set([{ id, delayMs: 100 }]);
        const { atMs } = await until(() => fired.find((one) => one.id === id), { what: id });
        assert.ok(atMs - setAtMs < lateMsMax);
      }
      assert.deepEqual(idsOf(fired), ["first", "second"]);
    });

    test("may have any id, again and again", async () => {
      const { timers, fired } = await open(newQueue());
      const ids = ["a:b:c", "7", "0:1", "ä/€ {}*", "", randomUUID()];
      const all = [...ids, ...ids];
      await timers.set(all.map((id) => ({ id, delayMs: 20 })));
      await until(() => fired.length >= all.length, { what: "all of them" });
      await timers.set(ids.map((id) => ({ id, delayMs: 20 })));
      await until(() => fired.length >= all.length + ids.length, { what: "those set again" });
      assert.deepEqual(idsOf(fired), [...all, ...ids].toSorted());
    });

    test("fire in one of those who have opened the queue, in no other queue", async () => {
      const queue = newQueue();
      const [one, two, other] = [await open(queue), await open(queue), await open(newQueue())];
      const timersOf = (from: Opened, prefix: string): Promise<void> =>
        from.timers.set(
          Array.from({ length: 200 }, (_, n) => ({ id: `${prefix}-${n}`, delayMs: 50 + n })),
        );
      await Promise.all([timersOf(one, "one"), timersOf(two, "two")]);
      await until(() => one.fired.length + two.fired.length >= 400, { what: "all of them" });
      assert.equal(new Set(idsOf([...one.fired, ...two.fired])).size, 400);
      assert.equal(one.fired.length + two.fired.length, 400);
      // The other queue is not asleep.
      await other.timers.set([{ id: "other", delayMs: 0 }]);
      await until(() => other.fired.length > 0, { what: "that of the other queue" });
      assert.deepEqual(idsOf(other.fired), ["other"]);
    });

    test("of five thousand in one go, none is lost and none fires twice", async () => {
      const { timers, fired } = await open(newQueue());
      const many: Timer[] = Array.from({ length: 5_000 }, (_, n) => ({
        id: `${n}`,
        delayMs: 1_000,
      }));
      await timers.set(many);
      await until(() => fired.length >= many.length, { what: "all of them", timeoutMs: 20_000 });
      assert.deepEqual(idsOf(fired), many.map(({ id }) => id).toSorted());
    });

    test("go on after what one was for has thrown", async () => {
      const seen: string[] = [];
      const timers = openTimers(newQueue(), (id) => {
        seen.push(id);
        if (id === "bad") throw new Error("bad");
      });
      opened.push(timers);
      await until(() => timers.isHealthy(), { what: "health" });
      await timers.set(["bad", "bad", "good"].map((id, at) => ({ id, delayMs: at * 20 })));
      await until(() => seen.includes("good"), { what: "the good one" });
      assert.deepEqual(seen, ["bad", "bad", "good"]);
    });

    test("that are none are set, and closing twice is as closing once", async () => {
      const { timers, fired } = await open(newQueue());
      await timers.set([]);
      await timers.close();
      await timers.close();
      assert.equal(timers.isHealthy(), false);
      await assert.rejects(timers.set([{ id: "late", delayMs: 0 }]));
      assert.deepEqual(fired, []);
    });
  });
};
