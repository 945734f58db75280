/** What a Redis that dies, hangs and forgets does to timers. On Node, where workers run. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { createOpenTimers } from "@outrider/bullmq";
import type { TimerSettings } from "@outrider/bullmq";
import { isFault } from "@outrider/event";
import type { Timers } from "@outrider/event";
import { Redis } from "ioredis";
import { openAndKeep } from "../contract/timers.ts";
import type { Fired } from "../contract/timers.ts";
import { testEnvironment } from "../support/environment.ts";
import { createKeptLog } from "../support/kept-log.ts";
import { createRedisUnderTest } from "../support/redis-under-test.ts";
import type { RedisUnderTest } from "../support/redis-under-test.ts";
import { until } from "../support/until.ts";

const quickMs = 1_500;

let redis: RedisUnderTest;
let queue = "";
let kept = createKeptLog();
const opened: Timers[] = [];
const children: ChildProcess[] = [];
const unhandled: unknown[] = [];
const onUnhandled = (error: unknown): void => void unhandled.push(error);

before(async () => {
  process.on("unhandledRejection", onUnhandled);
  redis = await createRedisUnderTest();
  await redis.start();
});

beforeEach(() => {
  queue = `test-${randomUUID()}`;
  kept = createKeptLog();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((timers) => timers.close()));
  for (const child of children.splice(0)) child.kill("SIGKILL");
  assert.deepEqual(unhandled.splice(0), []);
});

after(async () => {
  process.off("unhandledRejection", onUnhandled);
  await redis.remove();
});

const openTimers = (settings?: TimerSettings) => createOpenTimers(redis.url, kept.log, settings);

const open = async (settings?: TimerSettings) => {
  const one = await openAndKeep(openTimers(settings), queue);
  opened.push(one.timers);
  return one;
};

const openAway = () => {
  const fired: string[] = [];
  const timers = openTimers()(queue, (id) => void fired.push(id));
  opened.push(timers);
  return { timers, fired };
};

const told = (level: string): string[] =>
  kept.lines.filter((line) => line.level === level).map(({ message }) => message);

const healthy = (timers: Timers) => until(() => timers.isHealthy(), { what: "health" });
const unhealthy = (timers: Timers) => until(() => !timers.isHealthy(), { what: "no health" });

const arrived = (fired: readonly Fired[], id: string) =>
  until(() => fired.find((one) => one.id === id), { what: id, timeoutMs: 15_000 });

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const startedAtMs = performance.now();
  await work();
  return performance.now() - startedAtMs;
};

const withRedis = async <T>(use: (client: Redis) => Promise<T>): Promise<T> => {
  const client = new Redis(redis.url);
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
};

const startProcess = async (): Promise<{ child: ChildProcess; lines: string[] }> => {
  const path = join(import.meta.dirname, "../support/timer-process.ts");
  const child = spawn(process.execPath, [path, redis.url, queue], { env: testEnvironment() });
  children.push(child);
  const lines: string[] = [];
  let rest = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => void lines.push(text.trim()));
  await until(() => lines.includes("open"), { what: "the process" });
  return { child, lines };
};

describe("a Redis that was killed", () => {
  test("and comes back with its data still has the timers", async () => {
    const { timers, fired } = await open();
    const dueAtMs = Date.now() + 3_500;
    await timers.set([
      { id: "while away", delayMs: 2_000 },
      { id: "after", delayMs: dueAtMs - Date.now() },
    ]);
    // Redis writes its log to the disk once a second; the process alone is killed here.
    await redis.kill();
    await unhealthy(timers);
    await redis.start();
    await healthy(timers);
    await arrived(fired, "while away");
    const { atMs } = await arrived(fired, "after");
    assert.ok(atMs >= dueAtMs - 2 && atMs < dueAtMs + 3_000, `${atMs - dueAtMs} ms off`);
    assert.equal(fired.length, 2);
  });

  test("and comes back empty takes new timers, which fire, and keeps few events", async () => {
    const { timers, fired } = await open();
    await timers.set([{ id: "lost", delayMs: 3_000 }]);
    await redis.kill();
    await unhealthy(timers);
    redis.wipe();
    await redis.start();
    await healthy(timers);
    await timers.set([{ id: "new", delayMs: 100 }]);
    await arrived(fired, "new");
    await until(async () => (await keysOf()).length <= 6, { what: "few keys" });
    assert.deepEqual(
      fired.map(({ id }) => id),
      ["new"],
    );
    const eventsMax = await withRedis((client) =>
      client.hget(`outrider:${queue}:meta`, "opts.maxLenEvents"),
    );
    assert.equal(eventsMax, "100");
  });

  test("is told about once, and so is its return", async () => {
    const { timers } = await open();
    for (const round of [1, 2]) {
      await redis.kill();
      await until(() => told("warn").length === round, { what: "the warning" });
      // Long enough for the worker to give up its wait, and for many tries to connect.
      await new Promise((resolve) => setTimeout(resolve, round === 1 ? 6_000 : 500));
      await redis.start();
      await healthy(timers);
      await until(() => told("info").length === round, { what: "the good news" });
    }
    // What BullMQ does to its connection after a wait in vain is not told.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await healthy(timers);
    assert.deepEqual(
      kept.lines.map(({ level, message }) => `${level}: ${message.split(":")[0]}`),
      ["warn: Redis is away", "info: Redis is back", "warn: Redis is away", "info: Redis is back"],
    );
    assert.ok(kept.lines.every(({ fields }) => "queue" in fields));
  });

  test("lets nobody wait who sets timers, and keeps none of them", async () => {
    const { timers, fired } = await open();
    await redis.kill();
    const refused = async (id: string) => {
      const error = await timers.set([{ id, delayMs: 0 }]).catch((caught: unknown) => caught);
      assert.ok(isFault(error, "unavailable"), String(error));
    };
    assert.ok((await timed(() => refused("at once"))) < quickMs);
    await unhealthy(timers);
    const many = Array.from({ length: 500 }, (_, n) => refused(`many-${n}`));
    assert.ok((await timed(() => Promise.all(many))) < quickMs);
    await redis.start();
    await healthy(timers);
    await timers.set([{ id: "back", delayMs: 0 }]);
    await arrived(fired, "back");
    assert.deepEqual(
      fired.map(({ id }) => id),
      ["back"],
    );
  });

  test("does not keep anybody from closing", async () => {
    const { timers } = await open();
    await redis.kill();
    await unhealthy(timers);
    assert.ok((await timed(() => timers.close())) < quickMs);
    await redis.start();
  });
});

describe("a Redis that is away at the start", () => {
  beforeEach(() => redis.kill());
  afterEach(() => redis.start());

  test("keeps nobody from opening, and works when it is there", async () => {
    const { timers, fired } = openAway();
    await until(() => told("warn").length > 0, { what: "the warning" });
    assert.equal(timers.isHealthy(), false);
    await assert.rejects(timers.set([{ id: "early", delayMs: 0 }]));
    await redis.start();
    await healthy(timers);
    await timers.set([{ id: "now", delayMs: 20 }]);
    await until(() => fired.length > 0, { what: "the timer" });
    assert.deepEqual(fired, ["now"]);
    await until(() => told("info").length > 0, { what: "the good news" });
    assert.equal(kept.lines.length, 2);
    await redis.kill();
  });

  test("keeps nobody from closing, at once or later", async () => {
    assert.ok((await timed(() => openAway().timers.close())) < quickMs);
    const { timers } = openAway();
    await until(() => told("warn").length > 0, { what: "the warning" });
    assert.ok((await timed(() => timers.close())) < quickMs);
  });
});

describe("a Redis that hangs", () => {
  test("is given up by who sets timers, and used again when it answers", async () => {
    const { timers, fired } = await open();
    redis.freeze();
    try {
      const set = () => timers.set([{ id: "hung", delayMs: 0 }]).catch((error: unknown) => error);
      const first = await set();
      assert.ok(isFault(first, "timeout"), String(first));
      await unhealthy(timers);
      assert.ok((await timed(set)) < 100);
    } finally {
      redis.thaw();
    }
    await healthy(timers);
    await timers.set([{ id: "awake", delayMs: 0 }]);
    await arrived(fired, "awake");
  });

  test("does not keep anybody from closing", async () => {
    const { timers } = await open();
    redis.freeze();
    try {
      assert.ok((await timed(() => timers.close())) < quickMs);
    } finally {
      redis.thaw();
    }
  });
});

const keysOf = (): Promise<string[]> => withRedis((client) => client.keys(`outrider:${queue}:*`));

describe("a Redis that forgets", () => {
  test("while it runs takes new timers, which fire", async () => {
    const { timers, fired } = await open();
    // Once while the worker waits for anything, once while it waits for a later timer.
    for (const id of ["first", "second"]) {
      await timers.set([{ id: "lost", delayMs: 60_000 }]);
      if (id === "second") await new Promise((resolve) => setTimeout(resolve, 1_500));
      await withRedis((client) => client.flushall());
      const setAtMs = Date.now();
      await timers.set([{ id, delayMs: 100 }]);
      const { atMs } = await arrived(fired, id);
      assert.ok(atMs - setAtMs < 1_500, `${atMs - setAtMs} ms`);
    }
    assert.equal(timers.isHealthy(), true);
  });

  test("what is due now does not stop the worker", async () => {
    const { timers, fired } = await open();
    await timers.set(Array.from({ length: 2_000 }, (_, n) => ({ id: `${n}`, delayMs: 0 })));
    await until(() => fired.length > 0, { what: "the first" });
    await withRedis((client) => client.flushall());
    await timers.set([{ id: "new", delayMs: 0 }]);
    await arrived(fired, "new");
    assert.equal(timers.isHealthy(), true);
  });
});

describe("what Redis is told to evict", () => {
  afterEach(() => withRedis((client) => client.config("SET", "maxmemory-policy", "noeviction")));

  test("is told once, in the log", async (t) => {
    await withRedis((client) => client.config("SET", "maxmemory-policy", "allkeys-lru"));
    const printed = t.mock.method(console, "warn", () => {});
    const opener = openTimers();
    for (const name of [`${queue}-a`, `${queue}-b`]) {
      opened.push((await openAndKeep(opener, name)).timers);
    }
    assert.equal(told("warn").length, 1);
    assert.deepEqual(kept.lines[0]?.fields, { policy: "allkeys-lru" });
    assert.equal(printed.mock.callCount(), 0);
  });
});

describe("the keys of a queue", () => {
  test("are few after many timers, and so are its events", async () => {
    const { timers, fired } = await open();
    for (const round of [1, 2, 3]) {
      await timers.set(Array.from({ length: 500 }, (_, n) => ({ id: `${n}`, delayMs: n % 50 })));
      await until(() => fired.length >= round * 500, { what: "all of them", timeoutMs: 20_000 });
    }
    await until(async () => (await keysOf()).length <= 6, { what: "few keys" });
    const events = await withRedis((client) => client.xlen(`outrider:${queue}:events`));
    assert.ok(events <= 300, `${events} events`);
  });

  test("have names without colons, which are BullMQ's own", () => {
    assert.throws(
      () => openTimers()("a:b", () => {}),
      (error) => isFault(error, "settings_invalid"),
    );
  });
});

describe("processes", () => {
  test("share a queue: each timer fires in one of them", async () => {
    const [one, two] = [await startProcess(), await startProcess()];
    const { timers, fired } = await open();
    const ids = Array.from({ length: 300 }, (_, n) => `${n}`);
    await timers.set(ids.map((id, n) => ({ id, delayMs: 500 + n })));
    const due = () => [
      ...[...one.lines, ...two.lines].filter((line) => line.startsWith("due ")),
      ...fired.map(({ id }) => `due ${id}`),
    ];
    await until(() => due().length >= ids.length, { what: "all of them", timeoutMs: 20_000 });
    assert.deepEqual(due().toSorted(), ids.map((id) => `due ${id}`).toSorted());
    for (const { lines } of [one, two]) assert.ok(lines.length > 1, "one of them heard of none");
  });

  test("that die of a timer leave it to another", async () => {
    const doomed = await startProcess();
    const { timers, fired } = await setFrom(doomed);
    await until(() => doomed.child.signalCode === "SIGKILL", { what: "its end" });
    opened.push(timers);
    await arrived(fired, "deadly");
  });

  /** The process alone listens when the timer is due. */
  const setFrom = async (doomed: { lines: string[] }) => {
    const first = await open({ lockMs: 2_000 });
    await first.timers.set([{ id: "deadly", delayMs: 1_000 }]);
    await first.timers.close();
    await until(() => doomed.lines.includes("due deadly"), { what: "the timer" });
    return open({ lockMs: 2_000 });
  };

  test("end by themselves once they have closed, also without Redis", async () => {
    for (const isAway of [false, true]) {
      const { child, lines } = await startProcess();
      const { timers, fired } = await open();
      // Redis is asked to wait for it as long as it may.
      await timers.set([
        { id: "later", delayMs: 60_000 },
        { id: "x", delayMs: 0 },
      ]);
      await until(() => fired.length > 0 || lines.includes("due x"), { what: "the timer" });
      // By now both processes know of the later one.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      await timers.close();
      if (isAway) await redis.kill();
      if (isAway) await new Promise((resolve) => setTimeout(resolve, 1_500));
      child.kill("SIGTERM");
      const tookMs = await timed(() =>
        until(() => child.exitCode !== null, { what: "its end", timeoutMs: 5_000 }),
      );
      if (isAway) await redis.start();
      assert.equal(child.exitCode, 0);
      assert.ok(tookMs < 2_500, `${tookMs} ms`);
      assert.deepEqual(
        lines.filter((line) => line !== "due x"),
        [
          "open",
          ...(isAway ? ["warn Redis is away: timers cannot be set, and none fires"] : []),
        ].concat("closed"),
      );
    }
  });
});
