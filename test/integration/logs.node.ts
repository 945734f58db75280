/**
 * Logs that are not what they were: topics deleted and made anew, other clusters, and what an
 * operator decides then. Handlers on real Postgres and real Kafka. Runs on Node.
 */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { createLogReader, createTopicReader } from "@outrider/broker";
import { defineHandler, resumePartitions, startInbox } from "@outrider/inbox";
import type { GroupState, Inbox } from "@outrider/inbox";
import { createOpenPublisher, createSubscribe } from "@outrider/kafka";
import type { SubscriberSettings } from "@outrider/kafka";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { sql as query } from "drizzle-orm";
import { chooseOffsets } from "../../packages/operations/src/partitions.ts";
import type { From } from "../../packages/operations/src/partitions.ts";
import { countedOn, recordAt } from "../support/counted.ts";
import type { Counted, CountedEvents } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { testKafka } from "../support/environment.ts";
import { createKeptLog } from "../support/kept-log.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic, makeTopicAnew } from "../support/topics.ts";
import { until } from "../support/until.ts";

const kafka = testKafka();
const logs = createLogReader(kafka);
const reader = createTopicReader(kafka);
const open = createOpenPublisher(kafka, silentLog, { clientId: "logs-test" });

let database: TestDatabase;
let sql: Sql;
let db: Database;
let topic: string;
let counting: CountedEvents;
let group: string;
let inboxes: Inbox[];
let kept: ReturnType<typeof createKeptLog>;

before(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "logs-test" });
  db = connectDatabase({ url: database.url, name: "logs-test-handlers", poolMax: 4 });
  // Not unique: what runs twice is seen twice.
  await sql`
    create table public.effects (position bigint generated always as identity, n int)`;
});

after(async () => {
  await Promise.all([logs.close(), reader.close(), sql.end(), db.$client.end()]);
  await database.drop();
});

beforeEach(async () => {
  topic = await createTopic(1);
  counting = countedOn(topic);
  group = `group-${randomUUID()}`;
  inboxes = [];
  kept = createKeptLog();
});

afterEach(async () => {
  await Promise.all(inboxes.map((inbox) => inbox.stop()));
  await sql`truncate public.effects, outrider.inbox, outrider.watermarks`;
});

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

const eventsOf = (...counts: number[]): Counted[] => counts.map((n) => counting.count("a", n));

const publish = async (events: readonly Counted[]): Promise<void> => {
  const publisher = await open(0);
  const records = events.map((event) => recordAt(event, { topic, offset: 0 }));
  await publisher.publish(
    records.map(({ key, value, headers, timestampMs }) => {
      const [sentKey, sentValue] = [key ?? Buffer.of(), value ?? Buffer.of()];
      return { topic, key: sentKey, value: sentValue, headers, timestampMs };
    }),
  ).done;
  await publisher.close();
};

/** Its members join in a moment. */
const classic = { groupProtocol: "classic", assignmentStrategy: "cooperative-sticky" } as const;

const start = (protocol: Partial<SubscriberSettings> = classic): Inbox => {
  const handler = defineHandler({
    name: "test.counter",
    on: [counting.definition],
    run: async ({ data }, { tx }) => {
      await tx.execute(query`insert into public.effects (n) values (${data.n})`);
    },
  });
  const outbox = createOutbox(counting.catalogue);
  const inbox = startInbox(
    [handler],
    {
      ...{ sql, writeRecord, log: kept.log, random: Math.random, readLogs: logs.readLogs },
      isolation: { run: async () => ({ kind: "unrun" }), stop: async () => {} },
      transact: (work) => outbox.transact(db, work),
      subscribe: createSubscribe(kafka, silentLog, { clientId: "logs-test", ...protocol }),
    },
    { group, watermarkMs: 50, logLookMs: 100, retry: { baseMs: 20, capMs: 100 } },
  );
  inboxes.push(inbox);
  return inbox;
};

const stop = async (inbox: Inbox): Promise<void> => {
  inboxes.splice(inboxes.indexOf(inbox), 1);
  await inbox.stop();
};

const effects = async (): Promise<number[]> => {
  const rows = await sql<{ n: number }[]>`select n from public.effects order by position`;
  return rows.map((row) => row.n);
};

const timeoutMs = 20_000;

const handled = (count: number) =>
  until(async () => (await effects()).length >= count, { what: `${count} effects`, timeoutMs });

/** The watermark is written behind so many records. */
const passed = (next: number) =>
  until(async () => (await storedMark())?.next === next, { what: `watermark ${next}`, timeoutMs });

const storedMark = async () => {
  const [row] = await sql<{ next: number; epoch: number | null; reason: string | null }[]>`
    select next_offset::float8 as next, leader_epoch as epoch, halt_reason as reason
    from outrider.watermarks where "group" = ${group}`;
  return row;
};

const haltOf = (inbox: Inbox) =>
  until<GroupState["halted"][number] | undefined>(() => inbox.state()[0]?.halted[0], {
    ...{ what: "the halt", timeoutMs },
  });

const resume = async (from: From): Promise<void> => {
  const partitions = await chooseOffsets({ sql, kafka: reader }, { group, topic, from });
  await sql.begin((tx) => resumePartitions(tx, { group, topic, partitions }));
};

/** Events 1 to 5 are handled, and its worker has stopped. */
const handleFive = async (): Promise<Counted[]> => {
  const first = eventsOf(...range(1, 5));
  await publish(first);
  const inbox = start();
  await passed(5);
  await stop(inbox);
  return first;
};

describe("a topic that was made anew while no worker ran", () => {
  test("is not read, also when it has grown past the watermark, until it is decided", async () => {
    const known = await handleFive();
    await makeTopicAnew(topic, 1);
    await publish(eventsOf(11, 12));
    const first = start();
    assert.match((await haltOf(first)).reason, /^the topic has been made anew/);
    await stop(first);
    // Some of them are there again.
    await publish([...known, ...eventsOf(...range(13, 20))]);
    const second = start();
    assert.match((await haltOf(second)).reason, /^the topic has been made anew/);
    assert.deepEqual(await effects(), range(1, 5));
    assert.equal((await storedMark())?.next, 5);
    assert.equal(kept.lines.filter(({ level }) => level === "error").length, 1);
    await resume("beginning");
    await passed(15);
    // Everything once, and in the new log's order.
    assert.deepEqual(await effects(), [...range(1, 5), ...range(11, 20)]);
    assert.deepEqual(second.state()[0]?.halted, []);
  });

  test("is not read where it has grown past the watermark before anybody looked", async () => {
    await handleFive();
    await makeTopicAnew(topic, 1);
    await publish(eventsOf(...range(11, 20)));
    assert.match((await haltOf(start())).reason, /^the topic has been made anew/);
    assert.deepEqual(await effects(), range(1, 5));
  });

  test("may be read from its end, or from a time", async () => {
    await handleFive();
    await makeTopicAnew(topic, 1);
    await publish(eventsOf(11, 12));
    const inbox = start();
    await haltOf(inbox);
    await resume("end");
    await until(() => inbox.state()[0]?.halted.length === 0 && inbox.state()[0]?.isConnected, {
      ...{ what: "the end of the halt", timeoutMs },
    });
    await publish(eventsOf(13));
    await handled(6);
    await passed(3);
    assert.deepEqual(await effects(), [...range(1, 5), 13]);
    await stop(inbox);
    await makeTopicAnew(topic, 1);
    await publish(eventsOf(21, 22));
    // The broker's clock, which is this one, says when a record was published.
    const from = new Date(Date.now() + 5);
    await until(() => Date.now() >= from.getTime(), { what: "a later time", pollMs: 1 });
    await publish(eventsOf(23, 24));
    await haltOf(start());
    await resume(from);
    await passed(4);
    assert.deepEqual(await effects(), [...range(1, 5), 13, 23, 24]);
  });
});

describe("a topic that is made anew under a running worker", () => {
  for (const protocol of [{ groupProtocol: "consumer" } as const, classic]) {
    test(`halts, and counts no record as read: ${protocol.groupProtocol} protocol`, async () => {
      await publish(eventsOf(...range(1, 5)));
      const inbox = start(protocol);
      await passed(5);
      await makeTopicAnew(topic, 1);
      await publish(eventsOf(...range(11, 20)));
      assert.match((await haltOf(inbox)).reason, /^the topic has been made anew/);
      assert.equal((await storedMark())?.next, 5);
      await resume("beginning");
      await passed(10);
      assert.deepEqual(
        (await effects()).toSorted((a, b) => a - b),
        [...range(1, 5), ...range(11, 20)],
      );
    });
  }
});

test("another cluster than the one that the watermark was written for halts", async () => {
  await handleFive();
  await sql`update outrider.watermarks set cluster_id = 'yesterday' where "group" = ${group}`;
  assert.match((await haltOf(start())).reason, /^this is cluster .* of cluster yesterday$/);
});

test("a leader says where the epoch ends that a watermark was written in", async () => {
  await handleFive();
  const mark = await storedMark();
  assert.equal(mark?.epoch, 0);
  const at = { topic, partition: 0, leaderEpoch: 0 };
  const [log] = await logs.readLogs([at]);
  assert.deepEqual([log?.low, log?.high, log?.epochEnd], [0, 5, 5]);
  const [unknown] = await logs.readLogs([{ ...at, leaderEpoch: null }]);
  assert.equal(unknown?.epochEnd, null);
});
