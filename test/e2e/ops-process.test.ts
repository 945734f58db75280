/**
 * The process of the operations API: how it ends, and that it answers while the services that it
 * can do without never do.
 */

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect as connectSocket, createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@outrider/postgres";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { fillOperations } from "../support/fill-operations.ts";
import { runOutrider } from "../support/outrider.ts";
import { startApp } from "./processes.ts";
import type { App } from "./processes.ts";

let database: TestDatabase;
let key: string;
let logFolder: string;
const apps: App[] = [];

/** Takes connections and never says a word. */
let silent: Server;

beforeAll(async () => {
  logFolder = mkdtempSync(join(tmpdir(), "outrider-ops-"));
  database = await createTestDatabase();
  const sql = connect({ url: database.url, name: "ops-process", poolMax: 1 });
  await fillOperations(sql, { parked: 20, letters: 20_000, inbox: 0 });
  await sql.end();
  const made = await runOutrider({ databaseUrl: database.url }, [
    ...["keys", "create", "ann", "--scope", "admin"],
  ]);
  key = made.stdout.trim();
  silent = createServer(() => {});
  await new Promise<void>((listening) => silent.listen(0, "127.0.0.1", listening));
}, 30_000);

afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.stop()));
}, 30_000);

afterAll(async () => {
  silent?.close();
  await database?.drop();
  rmSync(logFolder, { recursive: true, force: true });
});

const start = async (env: Record<string, string>): Promise<App> => {
  const given = { DATABASE_URL: database.url, KAFKA_BOOTSTRAP_SERVERS: "", REDIS_URL: "", ...env };
  const spec = { name: "ops", runtime: "bun", entry: "apps/ops/src/http.ts" } as const;
  const app = await startApp({ ...spec, logFolder, env: given });
  apps.push(app);
  return app;
};

const get = (app: App, path: string, headers: Record<string, string> = {}) =>
  fetch(`${app.url}${path}`, { headers: { authorization: `Bearer ${key}`, ...headers } });

test("it ends well though an export is read slowly and lists stay open", async () => {
  const { port } = silent.address() as AddressInfo;
  const ops = await start({ REDIS_URL: `redis://127.0.0.1:${port}` });
  const live = await get(ops, "/v1/parked", { accept: "text/event-stream" });
  expect(live.status).toBe(200);
  const told = live.text();
  const slow = connectSocket(Number(new URL(ops.url).port), "127.0.0.1");
  slow.on("error", () => {});
  const line = "GET /v1/dead-letters/export HTTP/1.1";
  slow.write(`${line}\r\nHost: ops\r\nAuthorization: Bearer ${key}\r\n\r\n`);
  await new Promise((begun) => slow.once("data", begun));
  slow.pause();
  const { exitCode, durationMs } = await ops.stop();
  expect(exitCode).toBe(0);
  expect(durationMs).toBeLessThan(10_000);
  expect(await told).toContain("event: parked");
  slow.destroy();
}, 60_000);

test("Kafka and Redis that never answer are said, and hold up nothing else", async () => {
  const { port } = silent.address() as AddressInfo;
  const address = `127.0.0.1:${port}`;
  const ops = await start({ KAFKA_BOOTSTRAP_SERVERS: address, REDIS_URL: `redis://${address}` });
  const startedMs = performance.now();
  const event = "01890a5d-ac96-774b-bcce-b302099a8057";
  const paths = ["/v1/handlers", "/v1/retry-queue", "/queues", `/v1/events/${event}`];
  const asked = paths.map((path) => get(ops, path));
  const quick = await get(ops, "/v1/parked");
  expect([quick.status, performance.now() - startedMs < 2000]).toEqual([200, true]);
  const answers = await Promise.all(asked);
  expect(performance.now() - startedMs).toBeLessThan(10_000);
  expect(answers.map((one) => one.status)).toEqual([200, 504, 504, 404]);
  const [handlers = "", , , unknown = ""] = await Promise.all(answers.map((one) => one.text()));
  const { items } = JSON.parse(handlers) as { items: { lag: number | null }[] };
  expect(items.every((one) => one.lag === null)).toBe(true);
  expect(unknown).toContain("Kafka could not be asked");
  expect(await ops.isReady()).toBe(true);
}, 60_000);
