/**
 * S1, what is published is durable: Postgres is killed right after an event of a transaction that
 * asked for an asynchronous commit is in Kafka. Without the trigger that refuses such commits for
 * the outbox, the event is in Kafka and its transaction has never been.
 */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { applyTopics, readTopic } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { migrateAll } from "@outrider/postgres/migrate";
import { checkLog } from "../checker/check-log.ts";
import { logRecordOf, readCommits, recordCommits } from "../e2e/observer.ts";
import { testEnvironment } from "../support/environment.ts";
import { until } from "../support/until.ts";
import { startFleet } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";
import { startStage } from "./stage.ts";
import type { Stage } from "./stage.ts";

const folder = mkdtempSync(join(tmpdir(), "outrider-crash-"));
const rounds = 5;
const warmUpKeys = 64;

let stage: Stage;
let fleet: Fleet;

const connectNow = () => connect({ url: stage.postgres.directUrl, name: "crash", poolMax: 2 });

beforeAll(async () => {
  const env = testEnvironment();
  stage = await startStage(folder, { env, brokers: 1 });
  const drizzle = join(import.meta.dirname, "../../drizzle");
  await migrateAll({ url: stage.postgres.directUrl, folder: drizzle });
  const sql = connectNow();
  await recordCommits(sql);
  await sql.end();
  const logFolder = join(folder, "logs");
  mkdirSync(logFolder);
  fleet = await startFleet({
    ...{ name: "relay", entry: "apps/relay/src/main.ts" },
    size: 1,
    nodePath: stage.nodePath,
    logFolder,
    env: {
      ...env,
      DATABASE_URL: stage.postgres.url,
      KAFKA_BOOTSTRAP_SERVERS: stage.kafka.bootstrapServers,
      LOG_LEVEL: "warn",
    },
  });
  const isReady = async () => (await fleet.readyCount()) === 1;
  await until(isReady, { what: "the relay", timeoutMs: 30_000 });
}, 120_000);

afterAll(async () => {
  await fleet.stop();
  await stage.stop();
  rmSync(folder, { recursive: true });
}, 60_000);

const write = (sql: Sql, topic: string, key: string) =>
  sql.begin(async (tx) => {
    await tx`set local synchronous_commit = off`;
    await tx`
      insert into outrider.outbox (event_id, type, version, sequence, topic, key, headers, payload)
      values (${randomUUID()}, 'test.counted', 1, 1, ${topic}, ${Buffer.from(key)}, '{}', '{}')`;
  });

/** What the checker finds after a crash right behind the publishing of an event. */
const crashBehind = async (): Promise<string[]> => {
  const name = `crash-${randomUUID()}`;
  const topics = [defineTopic({ name, partitions: 1 })];
  await applyTopics(stage.kafka, { topics, profile: "dev" });
  const log = async () => (await readTopic(stage.kafka, name)).map(logRecordOf);
  const before = connectNow();
  // Once events of many keys have gone all the way, the relay has all its shards again.
  for (let n = 1; n <= warmUpKeys; n += 1) await write(before, name, `warm-up-${n}`);
  const isEmpty = async () => (await before`select from outrider.outbox`).length === 0;
  await until(isEmpty, { what: "the first event's way", timeoutMs: 30_000 });
  // The relay can read and publish, and not settle: its commit would make durable what is before.
  const locker = await before.reserve();
  await locker`begin`;
  await locker`select from outrider.shards for update`;
  await write(before, name, "key");
  const isThere = async () => (await log()).some((record) => record.key === "key");
  await until(isThere, { what: "the event", pollMs: 1 });
  await stage.postgres.crash(0);
  await before.end({ timeout: 0 });
  const after = connectNow();
  try {
    const committed = await readCommits(after, name);
    const found = checkLog({ committed, rolledBack: new Set(), log: await log() });
    return found.map((one) => one.kind);
  } finally {
    await after.end();
  }
};

test("an event of an asynchronous commit is durable before it is published", async () => {
  for (let round = 0; round < rounds; round += 1) expect(await crashBehind()).toEqual([]);
}, 120_000);

test("without the trigger it is in Kafka and was never committed", async () => {
  const sql = connectNow();
  await sql`alter table outrider.outbox disable trigger outbox_commit_durably`;
  // The window that a crash has to hit is as long as this.
  await sql`alter system set wal_writer_delay = '10s'`;
  await sql`alter system set wal_writer_flush_after = '1GB'`;
  await sql`select pg_reload_conf()`;
  await sql.end();
  const found: string[] = [];
  for (let round = 0; round < rounds && found.length === 0; round += 1) {
    found.push(...(await crashBehind()));
  }
  expect(found).toContain("phantom");
}, 120_000);
