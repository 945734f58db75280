/** The shop's HTTP process as it is started for real. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { connect } from "@outrider/postgres";
import { findNodeBinary } from "@outrider/stack";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { someOrder } from "../support/shop.ts";
import { until } from "../support/until.ts";

const entryOf = (name: string) => join(import.meta.dirname, `../../apps/shop/src/${name}.ts`);
const entry = entryOf("http");

let database: TestDatabase | undefined;

beforeAll(async () => {
  database = await createTestDatabase();
});

afterAll(async () => {
  await database?.drop();
});

test("an HTTP process that cannot listen on its HOST names it", async () => {
  const outside = join(import.meta.dirname, "../../apps/outside/src/main.ts");
  const env = { HOST: "myhost.example", PORT: "0" };
  const child = Bun.spawn([process.execPath, outside], { env, stdout: "pipe" });
  expect(await new Response(child.stdout).text()).toContain("HOST is myhost.example");
  expect(await child.exited).toBe(1);
});

const start = (env: Record<string, string>) =>
  Bun.spawn([process.execPath, entry], { env, stdout: "pipe", stderr: "pipe" });

const nodePath = (): string =>
  findNodeBinary({ platform: process.platform, arch: process.arch }).path;

/** Enough for any of its processes to begin. */
const workerEnv = () => ({
  DATABASE_URL: database?.url ?? "",
  PORT: "0",
  KAFKA_BOOTSTRAP_SERVERS: "127.0.0.1:1",
});

/** Its log, line by line, as it comes. */
async function* linesOf(stream: ReadableStream<Uint8Array>) {
  let rest = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    const lines = `${rest}${chunk}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line) as Record<string, unknown>;
  }
}

/** An order that is in flight until `finish`: its insert waits for a lock of ours. */
const beginOrder = async (url: URL) => {
  const sql = connect({ url: database?.url ?? "", name: "test-lock", poolMax: 2 });
  const go = Promise.withResolvers<void>();
  const locked = Promise.withResolvers<void>();
  const locking = sql.begin(async (tx) => {
    await tx`lock table shop.orders in exclusive mode`;
    locked.resolve();
    await go.promise;
  });
  await locked.promise;
  const body = JSON.stringify(someOrder);
  const headers = { "content-type": "application/json" };
  const answer = fetch(new URL("/v1/orders", url), { method: "POST", headers, body });
  const countWaiting = async () =>
    (
      await sql`select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`
    ).count;
  await until(countWaiting, { what: "the order's insert waits for the lock" });
  const finish = async () => {
    go.resolve();
    await locking;
    await sql.end();
  };
  return { answer, finish };
};

test("wrong settings are told in plain words, all at once, and end it", async () => {
  const child = start({ DATABASE_URL: "http://root:s3cret@db", PORT: "many" });
  expect(await child.exited).toBe(1);
  expect(await new Response(child.stderr).text()).toBe(
    [
      "These settings are wrong:",
      "  DATABASE_URL: must be like postgres://user:password@host:5432/database",
      "  PORT: must be a whole number from 0 to 65535",
      "",
    ].join("\n"),
  );
});

test("neither of its processes starts on a database where triggers are skipped", async () => {
  const sql = connect({ url: database?.url ?? "", name: "test-triggers", poolMax: 1 });
  const name = new URL(database?.url ?? "").pathname.slice(1);
  await sql`alter database ${sql(name)} set session_replication_role = replica`;
  const env = workerEnv();
  try {
    for (const command of [
      [process.execPath, entry],
      [nodePath(), entryOf("worker")],
    ]) {
      const child = Bun.spawn(command, { env, stdout: "pipe", stderr: "pipe" });
      const log = await new Response(child.stdout).text();
      expect(await child.exited).toBe(1);
      expect(log).toContain("could not start: Invalid Postgres settings: session_replication_role");
    }
  } finally {
    await sql`alter database ${sql(name)} reset session_replication_role`;
    await sql.end();
  }
}, 20_000);

test("a worker that may not call the receipts service does not start, and says why", async () => {
  const child = Bun.spawn([nodePath(), entryOf("worker")], {
    env: { ...workerEnv(), RECEIPTS_URL: "http://169.254.169.254/latest" },
    stdout: "pipe",
  });
  const log = await new Response(child.stdout).text();
  expect(await child.exited).toBe(1);
  expect(log).toContain("list http://169.254.169.254 in OUTBOUND_ALLOWED_ORIGINS");
}, 20_000);

test("it serves, and when it is stopped finishes what is in flight", async () => {
  const password = new URL(database?.url ?? "").password;
  const child = start({ DATABASE_URL: database?.url ?? "", PORT: "0" });
  const log = linesOf(child.stdout);
  const lines: Record<string, unknown>[] = [];
  const heard = async (message: string) => {
    for (;;) {
      const { value, done } = await log.next();
      if (done) throw new Error(`it ended before it said "${message}"`);
      lines.push(value);
      if (value.msg === message) return value;
    }
  };
  const url = new URL(String((await heard("listening")).url));
  await heard("shop has started");
  expect((await fetch(new URL("/readyz", url))).status).toBe(200);
  const metrics = await (await fetch(new URL("/metrics", url))).text();
  expect(metrics).toContain('service="shop",deployment="dev"');
  const script = await fetch(new URL("/docs/swagger-ui-bundle.js", url));
  expect((await script.text()).length).toBeGreaterThan(1_000_000);

  const { answer, finish } = await beginOrder(url);
  child.kill("SIGTERM");
  await heard("shop is stopping");
  await finish();
  expect((await answer).status).toBe(201);
  await heard("shop has stopped");
  expect(await child.exited).toBe(0);
  expect(JSON.stringify(lines)).not.toContain(password);
}, 20_000);
