/**
 * The operations API over a network, and its database away, hanging or back again: exports, lists
 * that stay open, and what it carries out. On real Postgres behind a proxy.
 */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { connect as connectSocket } from "node:net";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { createCuttable } from "../support/cuttable.ts";
import type { Cuttable } from "../support/cuttable.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { fillOperations } from "../support/fill-operations.ts";
import { createTestOperations } from "../support/operations.ts";
import type { TestOperations } from "../support/operations.ts";
import { runOutrider } from "../support/outrider.ts";
import { until } from "../support/until.ts";

const timeoutMs = 600;
const letters = 20_000;

let database: TestDatabase;
let between: Cuttable;
let api: TestOperations;
let server: Bun.Server<undefined>;
let key: string;
/** Past the proxy. */
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "operations-away", poolMax: 2 });
  await fillOperations(sql, { parked: 200, letters, inbox: 0 });
});

afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

beforeEach(async () => {
  between = await createCuttable(database.url);
  const limits = { timeoutMs, livePollMs: 20, liveLookMs: timeoutMs, liveIdleMs: 200, liveMax: 1 };
  api = await createTestOperations(between.url, { limits });
  server = Bun.serve({ port: 0, idleTimeout: 30, fetch: api.answer });
  key = await api.keyWith("admin");
});

afterEach(async () => {
  await server.stop(true);
  between.goOn();
  await api.close();
  await between.close();
});

const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(new URL(path, server.url), { headers: { authorization: `Bearer ${key}`, ...headers } });

const live = { accept: "text/event-stream" };

const statusOf = async (path: string): Promise<number> => {
  const response = await get(path, live);
  await response.body?.cancel();
  return response.status;
};

describe("an export", () => {
  const path = "/v1/dead-letters/export";

  test("is whole, a letter in each line", async () => {
    const lines = (await (await get(path)).text()).trimEnd().split("\n");
    expect(lines.length).toBe(letters);
    expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ topic: expect.any(String) });
    const none = await get(`${path}?handler=none`);
    expect([none.status, await none.text()]).toEqual([200, ""]);
  });

  test("that fails in the middle does not look like a whole one", async () => {
    const response = await get(path);
    const read = async () => {
      for await (const some of response.body ?? []) {
        expect(some.length).toBeGreaterThan(0);
        await between.cut().catch(() => {});
      }
    };
    expect(await read().catch((error: unknown) => String(error))).toContain("closed unexpectedly");
    const said = () => api.lines.map(({ message }) => message);
    await until(() => said().includes("an export ended in the middle"), { what: "a line" });
    const refused = await get(path);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "2"]);
  });

  test("that fails in the middle ends its command with a sentence, both ways", async () => {
    for (const from of [{ url: server.url.href, key }, { databaseUrl: between.url }]) {
      const isCut = { yet: false };
      const say = () => {
        if (!isCut.yet) void between.cut();
        isCut.yet = true;
      };
      const report = { say, step: () => ({ note: () => {}, end: () => {} }) };
      const { code, stderr } = await runOutrider(from, ["dead", "export"], { report });
      expect([code, stderr]).toEqual([1, "The export ended in the middle: there are more\n"]);
      await between.restore();
    }
  });
});

test("what takes too long is not worked on any more when that was said", async () => {
  let decoded = 0;
  const count = () => {
    decoded += 1;
    return undefined;
  };
  const short = await createTestOperations(database.url, {
    limits: { timeoutMs: 100 },
    loadDecodes: async () => count,
  });
  expect((await short.get("/v1/redrives/preview")).status).toBe(504);
  await short.close();
  expect(decoded).toBeLessThan(letters / 2);
});

describe("while Postgres hangs", () => {
  test("every route ends in time, health says so, and all is well when it goes on", async () => {
    expect((await get("/v1/parked")).status).toBe(200);
    between.hang();
    const paths = ["/v1/parked", "/v1/outbox", "/v1/handlers", "/v1/dead-letters/export"];
    const startedMs = performance.now();
    const answers = await Promise.all([...paths, ...paths, ...paths, ...paths].map((p) => get(p)));
    expect(answers.map((one) => one.status)).toEqual(answers.map(() => 504));
    expect(performance.now() - startedMs).toBeLessThan(timeoutMs * 3);
    expect((await get("/livez")).status).toBe(200);
    expect((await get("/readyz")).status).toBe(504);
    between.goOn();
    const isBack = async () => (await get("/v1/parked")).status === 200;
    await until(isBack, { what: "an answer" });
    await until(async () => (await get("/readyz")).ok, { what: "readiness" });
  });

  test("a list that stays open says so, goes on, and ends with who has opened it", async () => {
    const response = await get("/v1/parked?limit=1", live);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let heard = "";
    const hear = async (what: string) => {
      while (!heard.includes(what)) heard += (await reader?.read())?.value ?? "";
      heard = heard.slice(heard.indexOf(what) + what.length);
    };
    await hear("event: parked");
    between.hang();
    await hear('"code":"timeout"');
    between.goOn();
    await sql`update outrider.parked set attempt = attempt + 1`;
    await hear("event: parked");
    expect(await statusOf("/v1/outbox")).toBe(429);
    await reader?.cancel();
    const isFree = async () => (await statusOf("/v1/outbox")) === 200;
    await until(isFree, { what: "room for another list", timeoutMs: 2000 });
  });

  test("a list that nobody reads any more makes room when its reader has gone", async () => {
    const socket = connectSocket(server.port ?? 0, "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    const headers = `Host: ops\r\nAccept: text/event-stream\r\nAuthorization: Bearer ${key}`;
    socket.write(`GET /v1/dead-letters?limit=1000 HTTP/1.1\r\n${headers}\r\n\r\n`);
    const isTaken = async () => (await statusOf("/v1/outbox")) === 429;
    await until(isTaken, { what: "the only place" });
    // More than the buffers of sockets take.
    for (let at = 0; at < 30; at += 1) {
      await sql`
        update outrider.dead_letters set attempts = attempts + 1 where id > ${letters - 1000}`;
    }
    socket.destroy();
    const isFree = async () => (await statusOf("/v1/outbox")) === 200;
    await until(isFree, { what: "room for another list" });
  });
});

describe("while Postgres is away", () => {
  test("what was begun waits, and goes on when it is back", async () => {
    const wish = { action: "run-parked", filter: {}, all: true, reason: "a test" };
    await between.cut();
    expect((await api.post("/v1/parked/bulk", wish)).status).toBe(503);
    await between.restore();
    const isBegun = async () => {
      const begun = await api.post("/v1/parked/bulk", wish);
      return begun.status === 202 ? ((await begun.json()) as { id: number }).id : undefined;
    };
    const id = await until(isBegun, { what: "an operation" });
    await between.cut();
    await between.restore();
    const isDone = async () => {
      const [row] = await sql`select state from outrider.operations where id = ${id}`;
      return row?.state === "done";
    };
    await until(isDone, { what: "its end" });
    const [row] = await sql`select done + refused as all, total from outrider.operations
      where id = ${id}`;
    expect(row).toEqual({ all: 200, total: 200 });
  });
});
