/**
 * A Redis that answers and takes no timers: read-only, full, or with another password. `/readyz`,
 * the log and who sets timers hear of it. On Node, where workers run.
 */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { createOpenTimers } from "@outrider/bullmq";
import type { TimerSettings } from "@outrider/bullmq";
import { isFault } from "@outrider/event";
import type { Timers } from "@outrider/event";
import { createHealth } from "@outrider/http";
import { Redis } from "ioredis";
import { checkTimers } from "../../apps/shop/src/checks.ts";
import { createSender } from "../../packages/bullmq/src/sender.ts";
import { createKeptLog } from "../support/kept-log.ts";
import { createRedisUnderTest } from "../support/redis-under-test.ts";
import type { RedisUnderTest } from "../support/redis-under-test.ts";
import { until } from "../support/until.ts";

/** Shorter pauses than in earnest, so that a change is seen soon. */
const settings = { refusedPauseMs: 200 };
const password = "s3cret";

let redis: RedisUnderTest;
/** Has connected before anything is refused. */
let admin: Redis;
let firstPassword = "";
let kept = createKeptLog();
const opened: Timers[] = [];

before(async () => {
  redis = await createRedisUnderTest();
  await redis.start();
  admin = new Redis(redis.url);
  [, firstPassword = ""] = (await admin.config("GET", "requirepass")) as string[];
  await admin.config("SET", "requirepass", password);
});

beforeEach(() => {
  kept = createKeptLog();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((timers) => timers.close()));
});

after(async () => {
  await admin.config("SET", "requirepass", firstPassword);
  admin.disconnect();
  await redis.remove();
});

/** As a worker has them, with what its probe says of them. */
const openTimers = async (more: TimerSettings = {}) => {
  const url = new URL(redis.url);
  url.password = password;
  const fired: string[] = [];
  const queue = `test-${randomUUID()}`;
  const opener = createOpenTimers(url.href, kept.log, { ...settings, ...more });
  const timers = opener(queue, (id) => void fired.push(id));
  opened.push(timers);
  const registry = { contentType: "text/plain", metrics: async () => "" };
  const degrading = { redis: () => checkTimers({ checkTimers: timers.check }, url.href) };
  const health = createHealth({ checks: {}, degrading, registry });
  const ask = async (path: string) => (await health.request(path)).text();
  const isWell = async () => (await ask("/readyz")) === "ok\n";
  await until(isWell, { what: "timers that can be set" });
  return { timers, fired, ask, isWell };
};

/** What alone tells while nobody waits for timers: a write. */
const probe = async (): Promise<void> => {
  const limits = { batchMax: 1, setTimeoutMs: 1000, eventsMax: 1 };
  const sender = createSender(`test-${randomUUID()}`, admin, limits);
  await sender.probe().finally(() => sender.close());
};

const told = (level: string): string[] =>
  kept.lines.filter((line) => line.level === level).map(({ message }) => message);

const commandsOf = async (): Promise<number> =>
  Number(/total_commands_processed:(\d+)/.exec(await admin.info("stats"))?.[1]);

type Refusing = Readonly<{
  name: string;
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
  reason: string;
}>;

const cases: readonly Refusing[] = [
  {
    name: "that has become a read-only replica",
    begin: () => admin.replicaof("127.0.0.1", 1),
    end: () => admin.replicaof("NO", "ONE"),
    reason:
      "Redis refuses timers: it is a read-only replica. Name its primary in REDIS_URL. " +
      "Retries come up to a second late until then",
  },
  {
    name: "that is full",
    begin: () => admin.config("SET", "maxmemory", "1"),
    end: () => admin.config("SET", "maxmemory", "0"),
    reason:
      "Redis refuses timers: its memory is full. Raise its maxmemory, or remove what else it " +
      "holds. Retries come up to a second late until then",
  },
];

describe("a Redis", () => {
  for (const { name, begin, end, reason } of cases) {
    test(`${name} is told in words by /readyz and once in the log, until it is well`, async () => {
      // One that becomes a replica also ends connections, which come back at once.
      const { timers, fired, ask, isWell } = await openTimers({ awayGraceMs: 10_000 });
      await begin();
      try {
        await assert.rejects(probe(), (error) => isFault(error, "unavailable"));
        const isTold = async () => (await ask("/readyz?verbose")).includes(`: ${reason}\n`);
        await until(isTold, { what: "the health that says so" });
        const commandsBefore = await commandsOf();
        for (let n = 0; n < 3; n += 1) {
          const set = timers.set([{ id: "refused", delayMs: 0 }]);
          await assert.rejects(set, (error) => isFault(error, "unavailable"));
        }
        assert.equal(await ask("/readyz"), "degraded\n");
        // Nor is it asked without end by who waits for timers, which takes a while to show.
        await delay(500);
        const asked = (await commandsOf()) - commandsBefore;
        assert.ok(asked < 100, `${asked} commands`);
        assert.deepEqual(told("warn"), [reason.replace(/\. Retries.*/, "")]);
      } finally {
        await end();
      }
      await until(isWell, { what: "health" });
      await probe();
      await timers.set([{ id: "taken", delayMs: 0 }]);
      await until(() => fired.includes("taken"), { what: "the timer" });
      assert.deepEqual([told("warn").length, told("info")], [1, ["Redis takes timers again"]]);
    });
  }

  test("that has another password lets nobody in, which is told with what to do", async () => {
    const { ask, isWell } = await openTimers();
    await admin.config("SET", "requirepass", "another");
    try {
      // Who is in stays in until its connection ends.
      assert.ok(await isWell());
      await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      const wrong = "Redis lets nobody in: it refuses the password";
      await until(async () => (await ask("/readyz?verbose")).includes(wrong), { what: "why" });
      await until(() => told("warn").length > 0, { what: "the warning" });
      assert.equal(await ask("/readyz"), "degraded\n");
    } finally {
      await admin.config("SET", "requirepass", password);
    }
    await until(isWell, { what: "health" });
    await until(() => told("info").length > 0, { what: "the good news" });
    assert.deepEqual(
      kept.lines.map(({ level, message }) => `${level}: ${message.split(":")[0]}`),
      ["warn: Redis lets nobody in", "info: Redis is back"],
    );
  });
});
