/** Handlers on real Postgres and real Kafka, through rebalances and failures. Runs on Node. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { applyTopics, createLogReader, readTopic } from "@outrider/broker";
import { deadLetterTopic, defineTopic, fault, headerTexts } from "@outrider/event";
import type { KafkaRecord, SubscriberEvents } from "@outrider/event";
import { defineBatchHandler, defineHandler, startInbox } from "@outrider/inbox";
import type { Handler, Inbox } from "@outrider/inbox";
import { createOpenPublisher, createSubscribe } from "@outrider/kafka";
import { createStore, startRelay, writeRecord } from "@outrider/outbox";
import type { Relay } from "@outrider/outbox";
import { connect, connectDatabase, headerPairs } from "@outrider/postgres";
import type { Database, HeaderPair, Sql } from "@outrider/postgres";
import { sql as query } from "drizzle-orm";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { testKafka } from "../support/environment.ts";
import { silentLog } from "../support/silent-log.ts";
import { createCounting } from "../support/events.ts";
import { until } from "../support/until.ts";

const kafka = testKafka();
const logs = createLogReader(kafka);

let database: TestDatabase;
let sql: Sql;
let db: Database;
/** Its connections are not ended by any test. */
let writer: Database;
let relay: Relay;
let inboxes: Inbox[];
let counting: Awaited<ReturnType<typeof createCounting>>;
let group: string;

before(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "inbox-test" });
  db = connectDatabase({ url: database.url, name: "inbox-test-handlers", poolMax: 16 });
  writer = connectDatabase({ url: database.url, name: "inbox-test-writer", poolMax: 4 });
  // Not unique: what runs twice is seen twice.
  await sql`
    create table public.effects (
      position bigint generated always as identity, handler text, key text, count int
    )`;
  relay = startRelay({
    store: createStore({ passes: sql, leases: sql }),
    openPublisher: createOpenPublisher(kafka, silentLog, { clientId: "inbox-test" }),
    log: silentLog,
    owner: randomUUID(),
    name: "test",
    now: () => new Date(),
    monotonicMs: () => performance.now(),
  });
});

after(async () => {
  await relay.stop();
  await Promise.all([logs.close(), sql.end(), db.$client.end(), writer.$client.end()]);
  await database.drop();
});

beforeEach(async () => {
  inboxes = [];
  group = `group-${randomUUID()}`;
  counting = await createCounting(6);
});

afterEach(async () => {
  await Promise.all(inboxes.map((inbox) => inbox.stop()));
});

/** `onRecords` sees what the client delivers. */
const startWith = (
  handlers: readonly Handler[],
  onRecords?: (records: readonly KafkaRecord[]) => void,
): Inbox => {
  const subscribe = createSubscribe(kafka, silentLog, { clientId: "inbox-test" });
  const inbox = startInbox(
    handlers,
    {
      sql,
      writeRecord,
      isolation: { run: async () => ({ kind: "unrun" }), stop: async () => {} },
      transact: (work) => counting.outbox.transact(db, work),
      subscribe: (name, topics, events) => {
        const spied: SubscriberEvents = {
          ...events,
          onRecords: (records) => {
            onRecords?.(records);
            events.onRecords(records);
          },
        };
        return subscribe(name, topics, spied);
      },
      log: silentLog,
      random: Math.random,
      readLogs: logs.readLogs,
    },
    { group, watermarkMs: 50, retry: { baseMs: 20, capMs: 100 } },
  );
  inboxes.push(inbox);
  return inbox;
};

/** Writes one effect per event. */
const recording = (name: string, fails: (count: number) => boolean = () => false): Handler =>
  defineHandler({
    name: `${name}-${group}`,
    on: [counting.counted],
    retry: { attemptsMax: 1000, baseMs: 10, capMs: 50 },
    run: async ({ data }, { tx }) => {
      await tx.execute(
        query`
          insert into public.effects (handler, key, count)
          values (${name + group}, ${data.key}, ${data.n})`,
      );
      if (fails(data.n)) throw new Error("not now");
    },
  });

const effects = async (name: string, key: string): Promise<number[]> => {
  const rows = await sql<{ count: number }[]>`
    select count from public.effects where handler = ${name + group} and key = ${key}
    order by position`;
  return rows.map((row) => row.count);
};

const textsOf = (headers: KafkaRecord["headers"] = []): string[] =>
  headers.flatMap((header) =>
    Object.entries(header).map(([name, bytes]) => `${name}=${Buffer.from(bytes)}`),
  );

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

const handledAll = (name: string, key: string, last: number) =>
  until(async () => (await effects(name, key)).includes(last), {
    what: `event ${last} of ${key}`,
    timeoutMs: 30_000,
  });

describe("once in effect and in order", () => {
  test("every handler of a group gets every event", async () => {
    const inbox = startWith([recording("one"), recording("two")]);
    assert.equal(inbox.state()[0]?.isJoined, false);
    await until(() => inbox.state()[0]?.isJoined, { what: "the group to be joined" });
    assert.equal(inbox.state()[0]?.partitions, 6);
    await counting.write(db, "a", 1, 2, 3);
    await Promise.all([handledAll("one", "a", 3), handledAll("two", "a", 3)]);
    assert.deepEqual(await effects("one", "a"), [1, 2, 3]);
    assert.deepEqual(await effects("two", "a"), [1, 2, 3]);
  });

  test("while members join and leave the group", async () => {
    const keys = range(1, 12).map((index) => `key-${index}`);
    const handler = recording("moving");
    const first = startWith([handler]);
    const writing = Promise.all(keys.map((key) => counting.write(db, key, ...range(1, 40))));
    await handledAll("moving", "key-1", 5);
    const second = startWith([handler]);
    const shares = () => second.state()[0]?.partitions === 3;
    await until(shares, { what: "an even share", timeoutMs: 30_000 });
    await first.stop();
    startWith([handler]);
    await writing;
    for (const key of keys) await handledAll("moving", key, 40);
    for (const key of keys) assert.deepEqual(await effects("moving", key), range(1, 40));
  });

  test("a group that starts again goes on at its watermark", async () => {
    const handler = recording("again");
    const first = startWith([handler]);
    await counting.write(db, "a", ...range(1, 20));
    await handledAll("again", "a", 20);
    await first.stop();
    const seen: KafkaRecord[] = [];
    startWith([handler], (records) => seen.push(...records));
    await counting.write(db, "a", 21);
    await handledAll("again", "a", 21);
    assert.deepEqual(await effects("again", "a"), range(1, 21));
    // What was handled before is not even read.
    assert.equal(seen.length, 1);
  });

  test("a group whose watermarks are lost reads all again and handles nothing twice", async () => {
    const handler = recording("replayed");
    const first = startWith([handler]);
    await counting.write(db, "a", ...range(1, 20));
    await handledAll("replayed", "a", 20);
    await first.stop();
    await sql`delete from outrider.watermarks where "group" = ${group}`;
    const seen: KafkaRecord[] = [];
    startWith([handler], (records) => seen.push(...records));
    await counting.write(db, "a", 21);
    await handledAll("replayed", "a", 21);
    assert.deepEqual(await effects("replayed", "a"), range(1, 21));
    assert.equal(seen.length, 21);
  });
});

describe("failures", () => {
  test("a failing event is run again, and nothing of its key overtakes it", async () => {
    let failures = 0;
    const failing = recording("failing", (count) => count === 3 && failures++ < 4);
    const inbox = startWith([failing, recording("other")]);
    await counting.write(db, "a", ...range(1, 6));
    await handledAll("other", "a", 6);
    await handledAll("failing", "a", 6);
    assert.deepEqual(await effects("failing", "a"), range(1, 6));
    assert.ok(failures >= 4);
    assert.deepEqual(inbox.state()[0]?.failing, []);
    assert.equal((await sql`select from outrider.parked`).length, 0);
  });

  test("an event that keeps failing is parked, and stops neither handler", async () => {
    const stuck = recording("stuck", () => true);
    startWith([stuck, recording("free")]);
    await counting.write(db, "a", 1, 2, 3);
    await handledAll("free", "a", 3);
    const tries = async () => {
      const rows = await sql`
        select attempt, message from outrider.parked where handler = ${stuck.name}
        order by "offset"`;
      if (rows.length < 3 || rows[0]?.attempt <= 2) return undefined;
      return rows.map((row) => row.attempt > 0);
    };
    assert.deepEqual(await until(tries, { what: "the third try" }), [true, false, false]);
    assert.deepEqual(await effects("stuck", "a"), []);
  });

  test("what is given up is in the dead-letter topic, as it was and with the reason", async () => {
    const spec = deadLetterTopic(defineTopic({ name: counting.topic, partitions: 1 }));
    await applyTopics(kafka, { topics: [spec], profile: "dev" });
    const fatal = recording("fatal", () => {
      throw fault("invalid", "no such customer");
    });
    startWith([fatal]);
    await counting.write(db, "a", 1);
    const bytes = Buffer.from([0, 255, 0, 1]);
    const raw = { topic: counting.topic, key: bytes, value: bytes } as const;
    const headers = [
      ["x-strange", bytes],
      ["x-twice", "1"],
      ["x-twice", "2"],
      ...["__proto__", "constructor", "toString", "", "7"].map((name) => [name, bytes] as const),
    ] as const;
    await sql.begin((tx) => writeRecord(tx, { ...raw, headers }));
    const read = () => readTopic(kafka, spec.name);
    await until(async () => (await read()).length === 2, { what: "both records" });
    const [first, second] = (await read()).toSorted((a) => (bytes.equals(a.key ?? bytes) ? 1 : -1));
    const original = (await readTopic(kafka, counting.topic)).find(
      (one) => String(one.key) === "a",
    );
    assert.deepEqual(first?.value, original?.value);
    // Its own time is when it was published; the original's is in a header.
    assert.ok(Number(first?.timestampMs) >= Number(original?.timestampMs));
    const own = original?.headers.length ?? 0;
    assert.deepEqual(first?.headers.slice(0, own), original?.headers);
    assert.deepEqual(textsOf(first?.headers.slice(own)), [
      `__dlq.errors.topic=${counting.topic}`,
      `__dlq.errors.partition=${original?.partition}`,
      "__dlq.errors.offset=0",
      `__dlq.errors.group=${group}`,
      "__dlq.errors.delivery.count=1",
      "__dlq.errors.message=no such customer",
      `__dlq.outrider.handler=${fatal.name}`,
      `__dlq.outrider.event.id=${headerTexts(original?.headers ?? []).ce_id}`,
      "__dlq.outrider.category=fatal",
      "__dlq.outrider.code=invalid",
      ...textsOf(first?.headers).filter((text) => text.includes("fingerprint")),
      `__dlq.outrider.timestamp=${original?.timestampMs}`,
    ]);
    assert.deepEqual([second?.key, second?.value], [bytes, bytes]);
    const pairs = (second?.headers ?? []).flatMap((header) => Object.entries(header));
    const given = headers.map(([header, value]) => [header, Buffer.from(value)]);
    assert.deepEqual(pairs.slice(0, headers.length), given);
    const [letter] = await sql<{ headers: HeaderPair[] }[]>`
      select headers from outrider.dead_letters where code = 'undecodable'`;
    assert.deepEqual(letter?.headers, headerPairs(headers));
    const shown = textsOf(second?.headers);
    assert.ok(shown.includes("__dlq.outrider.code=undecodable"));
  });

  test("what a handler emits is published when it commits, and not when it fails", async () => {
    let failures = 0;
    const answering = defineBatchHandler({
      name: `answering-${group}`,
      on: [counting.counted],
      run: async (events, { emit }) => {
        for (const { data } of events) emit(counting.create(`answer-${data.key}`, data.n));
        if (failures++ < 2) throw new Error("not now");
      },
    });
    const listening = recording("listening");
    startWith([{ ...answering, run: onlyQuestions(answering) }, listening]);
    await counting.write(db, "q", 1, 2);
    await handledAll("listening", "answer-q", 2);
    assert.deepEqual(await effects("listening", "answer-q"), [1, 2]);
  });

  test("once and in order while Postgres ends connections", async () => {
    startWith([recording("shaken")]);
    const writing = counting.write(writer, "a", ...range(1, 100));
    for (const count of [10, 40, 70]) {
      await handledAll("shaken", "a", count);
      await sql`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'inbox-test-handlers' and query ilike '%effects%'
          and datname = current_database()`;
    }
    await writing;
    await handledAll("shaken", "a", 100);
    assert.deepEqual(await effects("shaken", "a"), range(1, 100));
  });

  test("a watermark beyond the log's end halts the partition and says so", async () => {
    for (const partition of range(0, 5)) {
      await sql`
        insert into outrider.watermarks ("group", topic, partition, next_offset)
        values (${group}, ${counting.topic}, ${partition}, 1000)`;
    }
    const inbox = startWith([recording("halted")]);
    await until(() => inbox.state()[0]?.halted.length === 6, { what: "the halt" });
    await counting.write(db, "a", 1);
    await until(async () => (await sql`select from outrider.outbox`).length === 0, {
      what: "the event to be published",
    });
    assert.deepEqual(await effects("halted", "a"), []);
  });
});

/** Answers are events of the same topic: not to be answered again. */
const onlyQuestions =
  (handler: Handler): Handler["run"] =>
  (events, context) =>
    handler.run(
      events.filter((event) => !event.key.startsWith("answer-")),
      context,
    );
