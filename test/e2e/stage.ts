/** The shop as it runs: its processes, a database, and a stand-in for somebody else's service. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyTopics } from "@outrider/broker";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { topics } from "../../apps/shop/src/topics.ts";
import { createTestDatabase } from "../support/database.ts";
import { testKafka, testRedisUrl } from "../support/environment.ts";
import { readEnds } from "./observer.ts";
import { startApp } from "./processes.ts";
import type { App } from "./processes.ts";

export const topic = "order-events";

export type Stage = Readonly<{
  databaseUrl: string;
  sql: Sql;
  /** Where the topic's partitions ended when this began. */
  starts: Map<number, number>;
  shop: App;
  relay: App;
  worker: App;
  outside: App;
  /** Another process, with the same services. */
  start(name: string, runtime: "bun" | "node", entry: string): Promise<App>;
  stop(): Promise<void>;
}>;

/** `prepare` sees the database before any process does. */
export const startStage = async (
  prepare: (sql: Sql) => Promise<void> = async () => {},
): Promise<Stage> => {
  const kafka = testKafka();
  const logFolder = mkdtempSync(join(tmpdir(), "outrider-e2e-"));
  const database = await createTestDatabase();
  const sql = connect({ url: database.url, name: "e2e", poolMax: 2 });
  await prepare(sql);
  await applyTopics(kafka, { topics, profile: "dev" });
  const starts = await readEnds(kafka, topic);
  // What an earlier run has left in the topic is not this database's.
  for (const [partition, offset] of starts) {
    await sql`
      insert into outrider.watermarks ("group", topic, partition, next_offset)
      values ('shop', ${topic}, ${partition}, ${offset}),
        ('shop-receipts', ${topic}, ${partition}, ${offset})`;
  }
  const apps: App[] = [];
  let env: Record<string, string> = {
    ...{ DATABASE_URL: database.url, REDIS_URL: testRedisUrl() },
    KAFKA_BOOTSTRAP_SERVERS: kafka.bootstrapServers,
    // Short, since a relay that was killed cannot give its shards back.
    RELAY_LEASE_TTL_MS: "2000",
  };
  const start: Stage["start"] = async (name, runtime, entry) => {
    const app = await startApp({ name, runtime, entry, logFolder, env });
    apps.push(app);
    return app;
  };
  const outside = await start("outside", "bun", "apps/outside/src/main.ts");
  env = { ...env, RECEIPTS_URL: outside.url, OUTBOUND_ALLOWED_ORIGINS: outside.url };
  const [shop, relay, worker] = await Promise.all([
    start("shop", "bun", "apps/shop/src/http.ts"),
    start("relay", "node", "apps/relay/src/main.ts"),
    start("shop-worker", "node", "apps/shop/src/worker.ts"),
  ]);
  return {
    ...{ databaseUrl: database.url, sql, starts, shop, relay, worker, outside, start },
    stop: async () => {
      await Promise.all(apps.map((app) => app.stop()));
      await sql.end();
      await database.drop();
      rmSync(logFolder, { recursive: true, force: true });
    },
  };
};

/** What the next requests for a receipt are answered. */
export const failReceipts = (
  { outside }: Pick<Stage, "outside">,
  failures: Readonly<{ status: number; count: number }>,
) => fetch(`${outside.url}/v1/failures`, { method: "PUT", body: JSON.stringify(failures) });

export const placeOrder = async (
  { shop }: Pick<Stage, "shop">,
  customerId: string,
): Promise<string> => {
  const placed = await fetch(`${shop.url}/v1/orders`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      ...{ customerId, currency: "EUR" },
      lines: [{ sku: "tea", quantity: 1, unitPriceMinor: 450 }],
    }),
  });
  if (placed.status !== 201) throw new Error(await placed.text());
  return ((await placed.json()) as { id: string }).id;
};
