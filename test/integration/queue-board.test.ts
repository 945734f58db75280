/** The web page that shows queues of timers, below a path of an app. On real Redis. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createOpenTimers } from "@outrider/bullmq";
import { createQueueBoard } from "@outrider/bullmq/board";
import type { QueueBoard } from "@outrider/bullmq/board";
import { isFault } from "@outrider/event";
import { asFault, problemOf } from "@outrider/http";
import { Hono } from "hono";
import { Redis } from "ioredis";
import { failureOf } from "../support/counted.ts";
import { createRedisUnderTest } from "../support/redis-under-test.ts";
import type { RedisUnderTest } from "../support/redis-under-test.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

const timeoutMs = 500;
const queue = "shop";

let redis: RedisUnderTest;
let board: QueueBoard;
let app: Hono;
let job = "";

beforeAll(async () => {
  redis = await createRedisUnderTest();
  await redis.start();
  const timers = createOpenTimers(redis.url, silentLog)(queue, () => {});
  await until(() => timers.isHealthy(), { what: "health" });
  await timers.set([{ id: "a", delayMs: 600_000 }]);
  await timers.close();
  const deps = { redisUrl: redis.url, queues: [queue, "other"], basePath: "/queues" };
  board = createQueueBoard(deps, { timeoutMs });
  app = new Hono();
  app.route("/queues", board.app);
  app.onError((error, { req }) => {
    const problem = problemOf(asFault(error), { path: req.path, requestId: "test" });
    return Response.json(problem, { status: problem.status });
  });
  const shown = await read();
  job = shown.queues[0]?.jobs[0]?.id ?? "";
}, 30_000);
afterAll(async () => {
  await board?.close();
  await redis?.remove();
});

type Shown = {
  queues: { name: string; readOnlyMode: boolean; counts: object; jobs: { id: string }[] }[];
};

const get = async (path: string): Promise<Response> => app.request(`/queues${path}`);
const read = async () => (await (await get(`/api/queues?activeQueue=${queue}`)).json()) as Shown;

/** All that Redis has, in a comparable form. */
const everything = async (): Promise<Record<string, unknown>> => {
  const client = new Redis(redis.url);
  try {
    const keys = (await client.keys("*")).toSorted();
    const dumps = await Promise.all(keys.map((key) => client.dump(key)));
    return Object.fromEntries(keys.map((key, at) => [key, dumps[at]]));
  } finally {
    client.disconnect();
  }
};

describe("the board of queues", () => {
  test("is asked for no more than Redis can answer", async () => {
    const most = `/api/queues?activeQueue=${queue}&page=999999&jobsPerPage=1000&status=delayed`;
    expect((await get(most)).status).toBe(200);
    for (const number of [
      "0",
      "-1",
      "0.5",
      "1e20",
      "99999999999999999999",
      "NaN",
      "%00",
      "1000000",
    ]) {
      for (const name of ["page", "jobsPerPage", "status"]) {
        const answer = await get(`/api/queues?activeQueue=${queue}&${name}=${number}`);
        expect([name, number, answer.status]).toEqual([name, number, 422]);
      }
    }
  });

  test("is a page with its files, from here alone", async () => {
    for (const path of ["", "/", `/queue/${queue}`]) {
      const page = await get(path);
      const html = await page.text();
      expect([path, page.status]).toEqual([path, 200]);
      expect(html).toContain('<base href="/queues/" />');
      expect([...html.matchAll(/(?:src|href)="(?:https?:)?\/\//g)]).toEqual([]);
      expect(page.headers.get("content-security-policy")).toContain("script-src 'self';");
      const files = [...html.matchAll(/(?:src|href)="(static\/[^"]+)"/g)].map(([, file]) => file);
      expect(files.length).toBeGreaterThan(5);
      for (const file of files) expect((await get(`/${file}`)).status).toBe(200);
      expect(
        (await get(`/${files.find((file) => file?.endsWith(".js"))}`)).headers.get("content-type"),
      ).toContain("javascript");
    }
    for (const path of ["/static/none.js", "/static/..%2f..%2fpackage.json", "/nowhere"]) {
      expect([path, (await get(path)).status]).toEqual([path, 404]);
    }
  });

  test("shows the queues that it was given, read-only, and makes none of them", async () => {
    const before = await everything();
    const { queues } = await read();
    expect(queues.map(({ name, readOnlyMode }) => [name, readOnlyMode])).toEqual([
      [queue, true],
      ["other", true],
    ]);
    expect(queues[0]?.counts).toMatchObject({ delayed: 1, failed: 0 });
    expect(job).toMatch(/^a-/);
    expect((await get(`/api/queues/${queue}/${job}`)).status).toBe(200);
    expect((await get("/api/queues/foreign")).status).toBe(404);
    expect(await everything()).toEqual(before);
  });

  test("refuses whatever would change something", async () => {
    const before = await everything();
    const all = `/api/queues/${queue}`;
    const writes = [
      ...["PUT /api/queues/pause", "PUT /api/queues/resume", `PUT ${all}/pause`],
      ...[`PUT ${all}/obliterate`, `PUT ${all}/empty`, `PUT ${all}/promote`, `POST ${all}/add`],
      ...[
        `PUT ${all}/${job}/promote`,
        `PUT ${all}/${job}/clean`,
        `PATCH ${all}/${job}/update-data`,
      ],
      ...[`DELETE ${all}/${job}`, `DELETE ${all}`, "POST /", "PUT /static/none.js", "OPTIONS /"],
    ];
    for (const write of writes) {
      const [method = "", path = ""] = write.split(" ");
      const headers = { "content-type": "application/json" };
      const body = method === "OPTIONS" ? null : "{}";
      const answer = await app.request(`/queues${path}`, { method, headers, body });
      expect([write, answer.status]).toEqual([write, 405]);
    }
    expect(await everything()).toEqual(before);
  });

  test("is not made for what is no queue's name", async () => {
    const make = async () =>
      createQueueBoard({ redisUrl: redis.url, queues: ["a:b"], basePath: "/q" });
    expect(isFault(await failureOf(make()), "settings_invalid")).toBe(true);
  });
});

describe("the board of queues says so", () => {
  const statuses = async () =>
    Promise.all(
      ["", "/api/queues", "/api/redis/stats"].map(async (path) => (await get(path)).status),
    );

  test("in time while Redis hangs, and goes on when it answers", async () => {
    redis.freeze();
    try {
      const startedMs = performance.now();
      expect(await statuses()).toEqual([504, 504, 504]);
      expect(performance.now() - startedMs).toBeLessThan(timeoutMs + 500);
    } finally {
      redis.thaw();
    }
    expect(await statuses()).toEqual([200, 200, 200]);
  });

  test("at once while Redis is away, and goes on when it is back", async () => {
    await redis.kill();
    await until(async () => (await get("")).status === 503, { what: "its end" });
    const startedMs = performance.now();
    expect(await statuses()).toEqual([503, 503, 503]);
    expect(performance.now() - startedMs).toBeLessThan(timeoutMs);
    const problem = await (await get("/api/queues")).json();
    expect(problem).toMatchObject({ type: "urn:outrider:problem:unavailable" });
    await redis.start();
    expect(await statuses()).toEqual([200, 200, 200]);
  }, 20_000);
});
