/**
 * PgBouncer before Postgres: who works through it, and who refuses to start. On a real PgBouncer,
 * where there is one.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { isFault } from "@outrider/event";
import { connect, createPoolerCheck, createServerCheck } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { choosePort, findNodeBinary } from "@outrider/stack";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { fillOperations } from "../support/fill-operations.ts";
import { runOutrider } from "../support/outrider.ts";
import { startPgbouncer } from "../support/pgbouncer.ts";
import type { PgbouncerSettings } from "../support/pgbouncer.ts";
import { createTestShop, someOrder } from "../support/shop.ts";
import { testWithTool } from "../support/tool.ts";
import { until } from "../support/until.ts";

const testWithPgbouncer = testWithTool("pgbouncer");
const root = join(import.meta.dirname, "../..");

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "pooler-test", poolMax: 2 });
});

afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

const withPgbouncer = async (
  settings: PgbouncerSettings,
  use: (url: string) => Promise<void>,
): Promise<void> => {
  const { url, stop } = await startPgbouncer(database.url, settings);
  try {
    await use(url);
  } finally {
    await stop();
  }
};

const refusalOf = (check: () => Promise<void>): Promise<string> =>
  check().then(
    () => "none",
    (error: unknown) => (isFault(error, "settings_invalid") ? error.message : String(error)),
  );

/** A process of ours, whose output is read as it comes. */
const start = (entry: string, env: Record<string, string>) => {
  const runtime = /(main|worker)\.ts$/.test(entry)
    ? findNodeBinary({ platform: process.platform, arch: process.arch }).path
    : process.execPath;
  const given = { PORT: "0", KAFKA_BOOTSTRAP_SERVERS: "127.0.0.1:1", ...env };
  return Bun.spawn([runtime, join(root, entry)], { env: given, stdout: "pipe", stderr: "pipe" });
};

/** Why it did not start; fails when it did. */
const refusalOfStart = async (entry: string, env: Record<string, string>): Promise<string> => {
  const child = start(entry, env);
  const [log, errors] = await Promise.all(
    [child.stdout, child.stderr].map((one) => new Response(one).text()),
  );
  expect([entry, await child.exited]).toEqual([entry, 1]);
  const lines = `${log}${errors}`.split("\n");
  return lines.find((line) => line.includes("could not start")) ?? lines.join("\n");
};

/** Where it listens. */
const started = async (child: ReturnType<typeof start>): Promise<string> => {
  let log = "";
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    log += chunk;
    const [, url] = /"url":"([^"]+)"/.exec(log) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error(`It has ended:\n${log}`);
};

/** What a pooler does not pass on. */
const limitRole = async (): Promise<void> => {
  const name = new URL(database.url).pathname.slice(1);
  const limits = { statement_timeout: "8s", lock_timeout: "5s" };
  for (const [setting, value] of Object.entries({
    ...limits,
    idle_in_transaction_session_timeout: "30s",
  })) {
    await sql.unsafe(`alter role current_user in database "${name}" set ${setting} = '${value}'`);
  }
};

describe("a pooler in transaction mode", () => {
  test("is not what Postgres itself is taken for", async () => {
    expect(await refusalOf(createPoolerCheck(database.url))).toBe("none");
  });

  test("is asked for again after nobody has answered", async () => {
    const free = await choosePort([0]);
    const away = new URL(database.url);
    away.port = String(free);
    const check = createPoolerCheck(away.href);
    for (let n = 0; n < 2; n += 1) expect(await refusalOf(check)).toContain("ECONNREFUSED");
  });

  testWithPgbouncer("is told from one that keeps sessions, by what it does", async (command) => {
    const turns = ["server_round_robin = 1"];
    for (const [mode, poolSize, more, isFound] of [
      ["transaction", 1, [], true],
      ["transaction", 4, [], true],
      ["transaction", 4, turns, true],
      ["session", 4, [], false],
    ] as const) {
      await withPgbouncer({ command, mode, poolSize, more }, async (url) => {
        const refusal = await refusalOf(createPoolerCheck(url));
        expect([mode, refusal.includes("past the pooler")]).toEqual([mode, isFound]);
        if (isFound) return;
        // It keeps sessions, and refuses what ours begin with.
        const own = connect({ url, name: "own", poolMax: 1 });
        const refused = await refusalOf(createServerCheck(own, { url }));
        expect(refused).toMatch(/^A pooler at DATABASE_URL refuses \w+\. Connect this process/);
        await own.end({ timeout: 1 });
      });
    }
  });

  testWithPgbouncer("is found while others keep it busy", async (command) => {
    const settings = { command, mode: "transaction", poolSize: 3 } as const;
    await withPgbouncer(settings, async (url) => {
      const busy = connect({ url, name: "busy", poolMax: 8, pooler: "transaction" });
      let isOver = false;
      const working = Array.from({ length: 8 }, async () => {
        while (!isOver) await busy`select pg_sleep(0.001)`;
      });
      try {
        for (let n = 0; n < 5; n += 1) {
          expect(await refusalOf(createPoolerCheck(url))).toContain("transaction mode");
        }
      } finally {
        isOver = true;
        await Promise.all(working);
        await busy.end();
      }
    });
  });

  testWithPgbouncer("carries the shop, whose callers notice nothing", async (command) => {
    const settings = { command, mode: "transaction", poolSize: 3 } as const;
    await withPgbouncer(settings, async (url) => {
      const shop = createTestShop(url, { pooler: "transaction" });
      try {
        const orders = Array.from({ length: 60 }, async (_, n) => {
          const headers = { "idempotency-key": `order-${n}` };
          const placed = await shop.post("/v1/orders", someOrder, headers);
          const { id } = (await placed.json()) as { id: string };
          const again = await shop.post("/v1/orders", someOrder, headers);
          const read = await shop.get(`/v1/orders/${id}`);
          const cancelled = await shop.post(`/v1/orders/${id}/cancel`, { reason: "a test" });
          return [placed, again, read, cancelled].map(({ status }) => status).join(" ");
        });
        const answers = new Set(await Promise.all(orders));
        expect([...answers, ...shop.errors]).toEqual(["201 201 200 200"]);
        const [row] = await sql`select count(*)::int as events from outrider.outbox`;
        expect(row?.events).toBe(120);
      } finally {
        await shop.close();
      }
    });
  });

  testWithPgbouncer(
    "is refused at the start by who cannot work through it, with the next step",
    async (command) => {
      await withPgbouncer({ command, mode: "transaction" }, async (url) => {
        const direct = "Connect this process to Postgres itself";
        const setting = "Set DATABASE_POOLER=transaction, or connect to Postgres itself";
        const asked = [
          ["apps/relay/src/main.ts", direct],
          ["apps/shop/src/worker.ts", direct],
          ["apps/shop/src/http.ts", setting],
          ["apps/ops/src/http.ts", setting],
        ] as const;
        const refused = asked.map(async ([entry, nextStep]) => {
          const refusal = await refusalOfStart(entry, { DATABASE_URL: url });
          expect(refusal).toContain("A pooler in transaction mode answers at DATABASE_URL");
          expect(refusal).toContain(nextStep);
        });
        await Promise.all(refused);
        const { code, stderr } = await runOutrider({ databaseUrl: url }, ["handlers"]);
        expect([code, stderr.includes(direct)]).toEqual([1, true]);
      });
    },
    60_000,
  );

  testWithPgbouncer(
    "carries the HTTP processes once its role has the limits that it does not pass on",
    async (command) => {
      const { stdout } = await runOutrider({ databaseUrl: database.url }, [
        ...["keys", "create", "ann", "--scope", "admin"],
      ]);
      await fillOperations(sql, { parked: 200, letters: 50, inbox: 0 });
      await withPgbouncer({ command, mode: "transaction", poolSize: 3 }, async (url) => {
        const env = { DATABASE_URL: url, DATABASE_POOLER: "transaction" };
        const entries = ["apps/shop/src/http.ts", "apps/ops/src/http.ts"];
        const refused = entries.map(async (entry) => {
          const refusal = await refusalOfStart(entry, { ...env, KAFKA_BOOTSTRAP_SERVERS: "" });
          expect(refusal).toContain("statement_timeout is 0 ms, must be from 1 ms to 8000 ms");
        });
        await Promise.all(refused);
        await limitRole();
        // The pooler's connections are those of before.
        await sql`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid()
            and application_name <> 'pooler-test'`;
        const [shop, ops] = [
          start("apps/shop/src/http.ts", env),
          start("apps/ops/src/http.ts", { ...env, KAFKA_BOOTSTRAP_SERVERS: "" }),
        ];
        try {
          const [shopUrl, opsUrl] = await Promise.all([started(shop), started(ops)]);
          expect((await fetch(new URL("/readyz", shopUrl))).status).toBe(200);
          await lookAndDecide(opsUrl, stdout.trim());
        } finally {
          for (const child of [shop, ops]) child.kill("SIGTERM");
          await Promise.all([shop.exited, ops.exited]);
        }
      });
    },
    60_000,
  );
});

/** Asks for everything at the same time, and carries out a decision about many. */
const lookAndDecide = async (url: string, key: string): Promise<void> => {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const ask = (path: string, body?: object) =>
    fetch(new URL(path, url), {
      headers,
      ...(body && { method: "POST", body: JSON.stringify(body) }),
    });
  const lists = ["parked", "dead-letters", "redrives", "replays", "partitions", "operations"];
  lists.push("handlers", "workers", "outbox", "shards", "keys", "audit");
  const all = [...lists, ...lists, ...lists].map(async (list) => (await ask(`/v1/${list}`)).status);
  expect([...new Set(await Promise.all(all))]).toEqual([200]);
  const wish = { action: "bury-parked", behind: "skip", filter: {}, all: true, reason: "a test" };
  const begun = await ask("/v1/parked/bulk", wish);
  expect(begun.status).toBe(202);
  const { id } = (await begun.json()) as { id: number };
  const end = async () => {
    const found = (await (await ask(`/v1/operations/${id}`)).json()) as { state: string };
    return found.state === "running" ? undefined : found;
  };
  expect(await until(end, { what: "the operation" })).toMatchObject({ state: "done", total: 200 });
};
