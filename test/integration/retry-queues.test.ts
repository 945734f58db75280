/** What operators see of timers, while Redis is there, away, or hangs. On real Redis. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { createOpenTimers, openRetryQueues } from "@outrider/bullmq";
import type { RetryQueues } from "@outrider/bullmq";
import { isFault } from "@outrider/event";
import type { FaultCode } from "@outrider/event";
import { Redis } from "ioredis";
import { failureOf } from "../support/counted.ts";
import { createRedisUnderTest } from "../support/redis-under-test.ts";
import type { RedisUnderTest } from "../support/redis-under-test.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

const timeoutMs = 500;

let redis: RedisUnderTest;
let queues: RetryQueues;
let queue = "";

beforeAll(async () => {
  redis = await createRedisUnderTest();
  await redis.start();
}, 30_000);
afterAll(async () => {
  await redis?.remove();
});
beforeEach(() => {
  queue = `test-${randomUUID()}`;
  queues = openRetryQueues(redis.url, { timeoutMs });
});
afterEach(async () => {
  await queues.close();
});

/** Sets timers and goes away, so that nobody hears of them. */
const setTimers = async (delays: Readonly<Record<string, number>>): Promise<void> => {
  const timers = createOpenTimers(redis.url, silentLog)(queue, () => {});
  await until(() => timers.isHealthy(), { what: "health" });
  await timers.set(Object.entries(delays).map(([id, delayMs]) => ({ id, delayMs })));
  await timers.close();
};

const withRedis = async <T>(use: (client: Redis) => Promise<T>): Promise<T> => {
  const client = new Redis(redis.url);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
};

const key = (name: string) => `outrider:${queue}:${name}`;

/** Moves a timer's job to where BullMQ would have it. */
const move = (timer: string, to: "waiting" | "active" | "failed"): Promise<void> =>
  withRedis(async (client) => {
    const ids = await client.zrange(key("delayed"), "0", "-1");
    const id = ids.find((one) => one.startsWith(`${timer}-`)) ?? "";
    await client.zrem(key("delayed"), id);
    if (to === "failed") await client.zadd(key("failed"), `${Date.now()}`, id);
    else await client.lpush(key(to === "waiting" ? "wait" : "active"), id);
    const told = {
      failed: { failedReason: "job stalled", atm: "2" },
      active: { processedOn: "7" },
    };
    if (to !== "waiting") await client.hset(key(id), told[to]);
  });

describe("a queue of timers", () => {
  test("is told with the state of each, also what failed, by when they are due", async () => {
    const setAtMs = Date.now();
    await setTimers({ e: 50_000, d: 40_000, c: 30_000, b: 20_000, a: 10_000 });
    await move("c", "waiting");
    await move("b", "active");
    await move("d", "failed");
    const { counts, jobs, isWhole } = await queues.read(queue);
    expect(counts).toEqual({ delayed: 2, waiting: 1, active: 1, failed: 1 });
    expect(jobs.map(({ timer, state }) => `${timer} ${state}`)).toEqual([
      ...["a delayed", "b active", "c waiting", "d failed", "e delayed"],
    ]);
    expect(isWhole).toBe(true);
    const [first, second, third, fourth] = jobs;
    expect(first?.id).toMatch(/^a-/);
    expect(Math.abs((first?.dueAt.getTime() ?? 0) - setAtMs - 10_000)).toBeLessThan(5_000);
    expect([second?.startedAt, third?.startedAt]).toEqual([new Date(7), null]);
    expect(fourth).toMatchObject({ failedReason: "job stalled", attemptsMade: 2 });
    expect(first).toMatchObject({ failedReason: null, attemptsMade: 0 });
  });

  test("is told in part, which it says", async () => {
    await setTimers({ c: 30_000, b: 20_000, a: 10_000 });
    await move("c", "active");
    const read = async (jobsMax: number) => {
      const { jobs, isWhole, counts } = await queues.read(queue, { jobsMax });
      expect(counts).toEqual({ delayed: 2, waiting: 0, active: 1, failed: 0 });
      return `${jobs.map(({ timer }) => timer).join("")} ${isWhole}`;
    };
    expect([await read(0), await read(1), await read(2)]).toEqual([
      " false",
      "a false",
      "ab false",
    ]);
    expect([await read(3), await read(4)]).toEqual(["abc true", "abc true"]);
  });

  test("that nobody has opened is empty, and is not made by a look", async () => {
    const none = { delayed: 0, waiting: 0, active: 0, failed: 0 };
    expect(await queues.read(queue)).toEqual({ counts: none, jobs: [], isWhole: true });
    expect(await withRedis((client) => client.keys(key("*")))).toEqual([]);
    expect(isFault(await failureOf(queues.read("a:b")), "settings_invalid")).toBe(true);
  });

  test("is read over one connection, again and again and by many at once", async () => {
    await setTimers({ a: 10_000 });
    const connections = () =>
      withRedis(async (client) =>
        Number(/^total_connections_received:(\d+)/m.exec(await client.info())?.[1]),
      );
    const before = await connections();
    for (let n = 0; n < 5; n += 1) {
      const read = await Promise.all(Array.from({ length: 20 }, () => queues.read(queue)));
      expect(read.every(({ jobs }) => jobs.length === 1)).toBe(true);
    }
    // One of ours, and that of the second look.
    expect((await connections()) - before).toBe(2);
  });
});

describe("a Redis", () => {
  const fails = async (code: FaultCode): Promise<void> => {
    const startedMs = performance.now();
    const failures = await Promise.all([1, 2].map(() => failureOf(queues.read(queue))));
    expect(failures.map((error) => isFault(error) && error.code)).toEqual([code, code]);
    expect(performance.now() - startedMs).toBeLessThan(timeoutMs + 500);
  };
  const succeeds = async () => expect((await queues.read(queue)).jobs).toHaveLength(0);

  test("that is away is a fault at once, and is read when it is back", async () => {
    await succeeds();
    await redis.kill();
    await until(async () => isFault(await failureOf(queues.read(queue))), { what: "its end" });
    await fails("unavailable");
    await redis.start();
    await succeeds();
  }, 20_000);

  test("that hangs is a fault in time, and is read when it answers", async () => {
    await succeeds();
    redis.freeze();
    try {
      await fails("timeout");
      await fails("timeout");
    } finally {
      redis.thaw();
    }
    await succeeds();
  });

  test("is asked no more once the reader is closed", async () => {
    await succeeds();
    await queues.close();
    await queues.close();
    await fails("unavailable");
  });
});
