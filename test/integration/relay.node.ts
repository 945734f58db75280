/** The relay on real Postgres and real Kafka, with faults. Runs on Node. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { applyTopics, readTopic } from "@outrider/broker";
import { defineTopic, headerTexts } from "@outrider/event";
import type { OpenPublisher, PublishRecord } from "@outrider/event";
import { createOpenPublisher } from "@outrider/kafka";
import { createStore, startRelay } from "@outrider/outbox";
import type { Relay, RelayDeps } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { logRecordOf } from "../e2e/observer.ts";
import { codeOf } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { testKafka } from "../support/environment.ts";
import { silentLog } from "../support/silent-log.ts";
import { countingOn, createCounting } from "../support/events.ts";
import { until } from "../support/until.ts";

const kafka = testKafka();
const openPublisher = createOpenPublisher(kafka, silentLog, { clientId: "relay-test" });
const limits = { leaseTtlMs: 2000, leaseMarginMs: 300, renewMs: 200 };

let database: TestDatabase;
let sql: Sql;
let db: Database;
let relays: Relay[];
let counting: Awaited<ReturnType<typeof createCounting>>;

const start = (deps: Partial<RelayDeps> = {}, settings: object = {}): Relay => {
  const relay = startRelay(
    {
      store: createStore({ passes: sql, leases: sql }),
      openPublisher,
      log: silentLog,
      owner: randomUUID(),
      name: "test",
      now: () => new Date(),
      monotonicMs: () => performance.now(),
      ...deps,
    },
    { ...limits, ...settings },
  );
  relays.push(relay);
  return relay;
};

const pendingCount = async (): Promise<number> => {
  // On the writer's connections, which no test ends.
  const [row] = await db.$client<{ count: number }[]>`
    select count(*)::int as count from outrider.outbox`;
  return row?.count ?? -1;
};

const drained = () =>
  until(async () => (await pendingCount()) === 0, { what: "an empty outbox", timeoutMs: 20_000 });

/** The counts of a key in the order of the log, duplicates included. */
const published = async (key: string, topic = counting.topic): Promise<number[]> =>
  (await readTopic(kafka, topic))
    .filter((record) => String(record.key && Buffer.from(record.key)) === key)
    .map((record) => Number(headerTexts(record.headers).ce_sequence));

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

before(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "relay-test" });
  db = connectDatabase({ url: database.url, name: "relay-test-writer" });
});

after(async () => {
  await Promise.all([sql.end(), db.$client.end()]);
  await database.drop();
});

beforeEach(async () => {
  relays = [];
  counting = await createCounting();
});

afterEach(async () => {
  await Promise.all(relays.map((relay) => relay.stop()));
  await sql`delete from outrider.outbox`;
});

describe("what is committed is published, in order, and removed", () => {
  test("events of many keys, written before and while the relay runs", async () => {
    const keys = range(1, 20).map((index) => `key-${index}`);
    for (const key of keys) await counting.write(db, key, 1, 2, 3);
    start();
    await Promise.all(keys.map((key) => counting.write(db, key, 4, 5, 6)));
    await drained();
    for (const key of keys) assert.deepEqual(await published(key), range(1, 6));
  });

  test("a row with a lower id that commits later is published, too", async () => {
    start();
    const late = await db.$client.reserve();
    await late`begin`;
    // The id is drawn here, before that of the other key's event.
    await late`
      insert into outrider.outbox (event_id, type, version, sequence, topic, key, headers, payload)
      values (${randomUUID()}, 'test.counted', 1, 1, ${counting.topic}, 'late', '{}', '{}')`;
    await counting.write(db, "early", 1, 2);
    await until(async () => (await published("early")).length === 2, { what: "the early events" });
    await late`commit`;
    late.release();
    await drained();
    assert.deepEqual(await published("late"), [1]);
  });

  test("nothing of a transaction that is rolled back", async () => {
    start();
    const failed = counting.outbox.transact(db, async (_tx, emit) => {
      emit(counting.create("gone", 1));
      throw new Error("changed my mind");
    });
    await assert.rejects(failed, /changed my mind/);
    await counting.write(db, "kept", 1);
    await drained();
    assert.deepEqual([await published("gone"), await published("kept")], [[], [1]]);
  });

  test("a backlog of several batches, in order", async () => {
    for (let from = 1; from <= 500; from += 100) {
      await counting.outbox.transact(db, async (_tx, emit) => {
        for (const count of range(from, from + 99)) emit(counting.create("busy", count));
      });
    }
    start({}, { batchMax: 64 });
    await drained();
    assert.deepEqual(await published("busy"), range(1, 500));
  });
});

describe("after a failure the rows are read again", () => {
  /** Publishes for real and then fails, `failures` times: the acknowledgement got lost. */
  const losingAcks = (failures: number): OpenPublisher => {
    let left = failures;
    return async (shard) => {
      const publisher = await openPublisher(shard);
      const publish = (batch: readonly PublishRecord[]) => {
        const delivery = publisher.publish(batch);
        const done = delivery.done.then(() => {
          if (left-- > 0) throw new Error("the acknowledgement got lost");
        });
        return { ...delivery, done };
      };
      return { ...publisher, publish };
    };
  };

  test("duplicates of a lost acknowledgement are byte-identical and in order", async () => {
    await counting.write(db, "twice", 1, 2, 3);
    start({ openPublisher: losingAcks(1) });
    await drained();
    assert.deepEqual(await published("twice"), [1, 2, 3, 1, 2, 3]);
    const contents = (await readTopic(kafka, counting.topic)).map(
      (one) => logRecordOf(one).content,
    );
    assert.equal(new Set(contents).size, 3);
  });

  test("a topic that does not exist stops its shard, visibly, until it is created", async () => {
    const name = `test-missing-${randomUUID()}`;
    await countingOn(name).write(db, "waits", 1, 2);
    const relay = start();
    const isRefused = () => relay.state().refused.length === 1;
    await until(isRefused, { what: "a refused topic", timeoutMs: 15_000 });
    assert.equal(relay.state().refused[0]?.topic, name);
    assert.match(String(relay.state().refused[0]?.error), /Kafka refused/);
    assert.equal(await pendingCount(), 2);
    await applyTopics(kafka, { topics: [defineTopic({ name, partitions: 1 })], profile: "dev" });
    await drained();
    assert.deepEqual(await published("waits", name), [1, 2]);
    assert.deepEqual(relay.state().refused, []);
  });

  test("nothing is lost or reordered while Postgres ends connections", async () => {
    start({}, { batchMax: 10 });
    const writing = (async () => {
      for (const count of range(1, 200)) await counting.write(db, "shaken", count);
    })();
    for (let turn = 0; turn < 5; turn += 1) {
      await until(async () => (await pendingCount()) > 0, { what: "something to publish" });
      await db.$client`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'relay-test' and datname = current_database()`;
    }
    await writing;
    await drained();
    const counts = await published("shaken");
    assert.deepEqual([...new Set(counts)], range(1, 200));
  });
});

describe("a read that a deadlock ends", () => {
  /** Sessions that have locked the outbox and wait for the shards. */
  const waiting = async (): Promise<boolean> => {
    const rows = await db.$client`
      select from pg_locks held join pg_locks asked on asked.pid = held.pid
      where held.relation = 'outrider.outbox'::regclass and held.granted
        and asked.relation = 'outrider.shards'::regclass and not asked.granted`;
    return rows.length > 0;
  };

  test("is a failure like any other: what it would have brought is read again", async () => {
    const codes: unknown[] = [];
    const note = (fields: Readonly<{ err?: unknown }>) => void codes.push(codeOf(fields.err));
    const relay = start({ log: { ...silentLog, warn: note as typeof silentLog.warn } });
    await until(() => relay.state().owned.length === 8, { what: "the shards" });
    const other = await db.$client.reserve();
    try {
      await other`begin`;
      // The relay is the one to be ended.
      await other`set local deadlock_timeout = '1min'`;
      await other`lock table outrider.shards in access exclusive mode`;
      await until(waiting, { what: "a read", pollMs: 5 });
      await other`lock table outrider.outbox in access exclusive mode`;
    } finally {
      await other`rollback`;
      other.release();
    }
    await until(() => codes.includes("40P01"), { what: "the failure" });
    await counting.write(db, "read-again", 1, 2);
    await drained();
    assert.deepEqual(await published("read-again"), [1, 2]);
  });
});

describe("shards have one owner at a time", () => {
  const countsOf = (...some: Relay[]) => some.map((one) => one.state().owned.length);
  const evenly = (...some: Relay[]) =>
    until(
      async () => {
        const counts = countsOf(...some);
        const total = counts.reduce((sum, count) => sum + count, 0);
        return total === 8 && Math.max(...counts) - Math.min(...counts) <= 1;
      },
      { what: "an even spread" },
    );
  const openAll = (relay: Relay) =>
    until(() => relay.state().opening.length === 0, { what: "all producers" });

  test("relays that join and leave share the shards evenly, without losing an order", async () => {
    const first = start();
    await evenly(first);
    let isWriting = true;
    const writing = (async () => {
      let count = 0;
      while (isWriting) await counting.write(db, "moving", (count += 1));
      return count;
    })();
    // A minute: that it goes sooner is the hand-over.
    const second = start({}, { leaseTtlMs: 60_000 });
    await evenly(first, second);
    const third = start({}, { leaseTtlMs: 60_000 });
    await evenly(first, second, third);
    await second.stop();
    await evenly(first, third);
    await first.stop();
    await evenly(third);
    isWriting = false;
    const count = await writing;
    await drained();
    assert.deepEqual(await published("moving"), range(1, count));
    const [row] = await sql`select count(*)::int as count from outrider.relays`;
    assert.equal(row?.count, 1);
  });

  test("once evenly spread, no shard moves", async () => {
    const both = [start(), start()];
    await evenly(...both);
    await Promise.all(both.map(openAll));
    const epochs = () => sql`select shard, owner, epoch from outrider.shards order by shard`;
    const settled = await epochs();
    await delay(5 * limits.renewMs);
    assert.deepEqual(await epochs(), settled);
  });

  test("a relay that cannot reach Kafka takes no shard from one that can", async () => {
    const sound = start();
    await evenly(sound);
    const cutOff = start({
      checkKafka: async () => {
        throw new Error("no broker");
      },
    });
    await delay(5 * limits.renewMs);
    assert.deepEqual(countsOf(sound, cutOff), [8, 0]);
    assert.equal(cutOff.state().sinceRenewalMs, Number.POSITIVE_INFINITY);
  });

  test("shards of a relay that died are taken over when its lease ends", async () => {
    await sql`
      update outrider.shards
      set owner = ${randomUUID()}, epoch = epoch + 1,
        deadline = clock_timestamp() + interval '1 second'`;
    await counting.write(db, "orphan", 1);
    const relay = start({}, { renewMs: 30_000 });
    const startedMs = performance.now();
    await until(() => relay.state().owned.length === 8, { what: "the takeover" });
    // When the lease ends, and not at the next turn after it.
    assert.ok(performance.now() - startedMs < 2000);
    await drained();
    assert.deepEqual(await published("orphan"), [1]);
  });

  test("a relay whose lease was taken during a pass deletes nothing and steps back", async () => {
    const gate = Promise.withResolvers<void>();
    const publishing = Promise.withResolvers<void>();
    const held: OpenPublisher = async () => ({
      publish: () => {
        publishing.resolve();
        return { done: gate.promise, isRefused: () => false };
      },
      close: async () => {},
    });
    await counting.write(db, "fenced", 1);
    const failures: unknown[] = [];
    const paused = start({
      openPublisher: held,
      onFailure: (_shard, error) => failures.push(error),
    });
    await publishing.promise;
    await sql`
      update outrider.shards
      set owner = ${randomUUID()}, epoch = epoch + 1,
        deadline = clock_timestamp() + interval '1 minute'`;
    // As if everything had been acknowledged, after the takeover.
    gate.resolve();
    await until(() => failures.length > 0, { what: "the fence" });
    assert.match(String(failures[0]), /lease|taken over/);
    assert.equal(await pendingCount(), 1);
    await until(() => paused.state().owned.length === 0, { what: "the step back" });
    await sql`update outrider.shards set owner = null, deadline = null`;
  });
});
