/** When a worker's consumers count as dead, and when again as alive; on real services, on Node. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { applyTopics, createLogReader } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { defineHandler, startInbox } from "@outrider/inbox";
import type { Inbox } from "@outrider/inbox";
import { createOpenPublisher, createSubscribe } from "@outrider/kafka";
import { assertWell, judgeLife } from "@outrider/health";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { joinAs } from "../contract/member.ts";
import { countedOn, recordAt } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { setPoolThreads } from "../support/environment.ts";
import { hangThreads } from "../support/hang-threads.ts";
import { startKafkaBehindProxy } from "../support/kafka-behind-proxy.ts";
import type { KafkaBehindProxy } from "../support/kafka-behind-proxy.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

const threads = 8;
setPoolThreads(threads);

const limits = { callMaxMs: 1500, silenceMaxMs: 1500, unreadMaxMs: 1500 };
const topic = "life";
const group = `life-${randomUUID()}`;
const slowMs = 2000;

let database: TestDatabase;
let sql: Sql;
let db: Database;
let broker: KafkaBehindProxy;
let inbox: Inbox;
let logs: ReturnType<typeof createLogReader>;
let begun = 0;
let ended = 0;

const wrong = (): string => {
  try {
    assertWell(judgeLife({ groups: inbox.state(), limits }));
    return "";
  } catch (error) {
    return (error as Error).message;
  }
};
const red = (pattern: RegExp) =>
  until(() => pattern.test(wrong()), { what: `${pattern}`, timeoutMs: 15_000 });
const green = () => until(() => wrong() === "", { what: "a sign of life", timeoutMs: 15_000 });
const reads = (partitions: number) =>
  until(() => inbox.state()[0]?.partitions === partitions, {
    ...{ what: `${partitions} partitions`, timeoutMs: 30_000 },
  });

before(async () => {
  [database, broker] = await Promise.all([createTestDatabase(), startKafkaBehindProxy()]);
  sql = connect({ url: database.url, name: "life-test", poolMax: 4 });
  db = connectDatabase({ url: database.url, name: "life-test-handlers", poolMax: 4 });
  const topics = [defineTopic({ name: topic, partitions: 2 })];
  await applyTopics(broker.connection, { topics, profile: "dev" });
  const { definition, catalogue } = countedOn(topic);
  const slow = defineHandler({
    ...{ name: "life.slow", on: [definition], timeoutMs: 2 * slowMs },
    run: async () => {
      begun += 1;
      await new Promise((resolve) => setTimeout(resolve, slowMs));
      ended += 1;
    },
  });
  const subscribe = createSubscribe(broker.connection, silentLog, {
    ...{ clientId: "test-life", stallMs: 800, connectTimeoutMs: 1400 },
  });
  logs = createLogReader(broker.connection);
  inbox = startInbox(
    [slow],
    {
      ...{ sql, subscribe, log: silentLog, random: Math.random, writeRecord },
      readLogs: logs.readLogs,
      transact: (work) => createOutbox(catalogue).transact(db, work),
      isolation: { run: async () => ({ kind: "unrun" }), stop: async () => {} },
    },
    { group, readerDeadMs: 500 },
  );
  await reads(2);
});

after(async () => {
  await inbox.stop();
  await logs.close();
  await Promise.all([sql.end(), db.$client.end(), broker.remove()]);
  await database.drop();
});

test("a slow handler is no sign of death", async () => {
  const { count } = countedOn(topic);
  const publisher = await createOpenPublisher(broker.connection, silentLog, {
    clientId: "test-life",
  })(0);
  const record = recordAt(count("k", 1), { topic, offset: 0 });
  await publisher.publish([
    {
      ...{ topic, headers: record.headers, timestampMs: record.timestampMs },
      key: record.key ?? Buffer.alloc(0),
      value: record.value ?? Buffer.alloc(0),
    },
  ]).done;
  await publisher.close();
  await until(() => begun > 0, { what: "the handler" });
  while (ended === 0) {
    assert.equal(wrong(), "");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

test("threads that hang in a native call are, until they come back", async () => {
  const letGo = hangThreads(threads);
  try {
    await red(/a call into its client hangs/);
  } finally {
    letGo();
  }
  await green();
});

test("a partition that no live member reads is, until one does", async () => {
  // It is a member for Kafka, and enters nothing into the table of readers.
  const subscribe = createSubscribe(broker.connection, silentLog, { clientId: "test-stranger" });
  const stranger = joinAs(subscribe, { topic, group }, {});
  try {
    await reads(1);
    await red(/nobody reads life/);
  } finally {
    await stranger.subscriber.close();
  }
  await reads(2);
  await green();
});

test("a broker that is frozen for long is, until it answers", async () => {
  broker.proxy.silence("from");
  try {
    await red(/no broker has answered/);
  } finally {
    broker.proxy.silence(undefined);
  }
  await green();
});
