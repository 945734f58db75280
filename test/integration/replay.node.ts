/** A handler reads a topic again, on real Postgres and real Kafka. Runs on Node. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { createLogReader, readOffsets, readRanges } from "@outrider/broker";
import type { KafkaRecord } from "@outrider/event";
import { isFault } from "@outrider/event";
import { defineHandler, runReplay, startInbox } from "@outrider/inbox";
import type { Handler, Inbox, ReadRanges } from "@outrider/inbox";
import { createOpenPublisher, createSubscribe } from "@outrider/kafka";
import { createStore, startRelay, writeRecord } from "@outrider/outbox";
import type { Relay } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { cancelReplay, createReplay, planReplay, readReplay } from "@outrider/redrive";
import { redriveLetter, resumeReplay, searchLetters } from "@outrider/redrive";
import { sql as query } from "drizzle-orm";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { testKafka } from "../support/environment.ts";
import { createCounting } from "../support/events.ts";
import { inProcess } from "../support/in-process.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

const kafka = testKafka();
const logs = createLogReader(kafka);
const keys = ["a", "b", "c", "d"];
const who = { by: "ann", reason: "a test" };

let database: TestDatabase;
let sql: Sql;
let db: Database;
let relay: Relay;
let counting: Awaited<ReturnType<typeof createCounting>>;
let group: string;
let inbox: Inbox | undefined;

before(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "replay-test" });
  db = connectDatabase({ url: database.url, name: "replay-test-handlers", poolMax: 8 });
  // Not unique: what runs twice is seen twice.
  await sql`
    create table public.effects (
      position bigint generated always as identity, key text, count int
    )`;
  relay = startRelay({
    store: createStore({ passes: sql, leases: sql }),
    openPublisher: createOpenPublisher(kafka, silentLog, { clientId: "replay-test" }),
    log: silentLog,
    owner: randomUUID(),
    name: "test",
    now: () => new Date(),
    monotonicMs: () => performance.now(),
  });
});

after(async () => {
  await relay.stop();
  await Promise.all([logs.close(), sql.end(), db.$client.end()]);
  await database.drop();
});

beforeEach(async () => {
  group = `group-${randomUUID()}`;
  counting = await createCounting(3);
});

afterEach(async () => {
  await inbox?.stop();
  inbox = undefined;
  await sql`
    truncate outrider.inbox, outrider.parked, outrider.parked_heads, outrider.dead_letters,
      outrider.replays, outrider.replay_ranges, public.effects`;
});

const parts = () => ({
  ...{ sql, writeRecord, group, log: silentLog, random: Math.random },
  transact: ((work) => counting.outbox.transact(db, work)) as Parameters<
    typeof startInbox
  >[1]["transact"],
});

const counter = (run: (n: number) => Promise<void> | void = () => {}): Handler =>
  defineHandler({
    name: "test.counter",
    on: [counting.counted],
    retry: { attemptsMax: 1 },
    run: async ({ data }, { tx }) => {
      await tx.execute(
        query`insert into public.effects (key, count) values (${data.key}, ${data.n})`,
      );
      await run(data.n);
    },
  });

/** Each key's events from 1 to `last` are handled, and the group's watermarks behind them. */
const handle = async (handler: Handler, last: number): Promise<void> => {
  for (let n = 1; n <= last; n += 1) {
    for (const key of keys) await counting.write(db, key, n);
  }
  inbox = startInbox(
    [handler],
    {
      ...{ ...parts(), isolation: inProcess(parts()) },
      ...{ subscribe: subscribe(), readLogs: logs.readLogs },
    },
    { group, watermarkMs: 50 },
  );
  await passed(last * keys.length);
};
const subscribe = () => createSubscribe(kafka, silentLog, { clientId: "replay-test" });
const passed = (count: number) =>
  until(
    async () => {
      const [row] = await sql`
        select coalesce(sum(next_offset), 0)::int as sum from outrider.watermarks
        where "group" = ${group}`;
      return row?.sum === count;
    },
    { what: "the watermarks", timeoutMs: 30_000 },
  );

const readWatermarks = async () => [
  ...(await sql`select * from outrider.watermarks order by topic, partition`),
];

const effects = async (): Promise<Record<string, number[]>> => {
  const rows = await sql`select key, count from public.effects order by position`;
  const byKey = Map.groupBy(rows, (row) => row.key as string);
  return Object.fromEntries([...byKey].map(([key, of]) => [key, of.map((row) => row.count)]));
};
const eachKey = (...counts: number[]) => Object.fromEntries(keys.map((key) => [key, counts]));

const wish = (again: boolean) => ({
  ...{ handler: "test.counter", group, again },
  topic: counting.topic,
});
const planAll = async (again: boolean, since?: Date) => {
  const offsets = await readOffsets(kafka, counting.topic, since);
  const offered = offsets.map((one) => ({ ...one, begin: since ? one.since : one.low }));
  return planReplay(sql, wish(again), offered);
};
const create = async (again: boolean): Promise<number> => {
  const { ranges } = await planAll(again);
  return sql.begin((tx) => createReplay(tx, wish(again), { ...who, ranges }));
};

const replay = async (
  id: number,
  handler: Handler,
  more: { signal?: AbortSignal; isResumed?: boolean; read?: ReadRanges } = {},
) => {
  const { signal = AbortSignal.timeout(30_000), isResumed = false } = more;
  const deps = { ...parts(), isolation: inProcess(parts()), signal };
  if (isResumed) await sql.begin((tx) => resumeReplay(tx, id));
  const { read = (reading) => readRanges(kafka, reading) } = more;
  return runReplay(
    handler,
    { ...(await readReplay(sql, id)), isResumed },
    {
      ...deps,
      readRanges: read,
    },
  );
};

describe("reading ranges", () => {
  test("gives exactly the records of each, in order, and where a time begins", async () => {
    for (let n = 1; n <= 30; n += 1) for (const key of keys) await counting.write(db, key, n);
    const isThere = async () =>
      (await readOffsets(kafka, counting.topic)).reduce((sum, one) => sum + one.high, 0) === 120;
    await until(isThere, { what: "the records" });
    const offsets = await readOffsets(kafka, counting.topic);
    const ranges = offsets.map(({ partition, high }) => {
      return { partition, from: Math.min(5, high), to: Math.max(5, high - 5) };
    });
    const found = new Map<number, KafkaRecord[]>();
    await readRanges(kafka, {
      ...{ topic: counting.topic, ranges },
      onRecords: async (records, partition) => {
        found.set(partition, [...(found.get(partition) ?? []), ...records]);
      },
    });
    for (const { partition, from, to } of ranges) {
      // Not what is not there, in a partition that is shorter.
      const end = Math.min(to, offsets[partition]?.high ?? 0);
      const expected = Array.from({ length: Math.max(0, end - from) }, (_, n) => from + n);
      assert.deepEqual(
        (found.get(partition) ?? []).map((one) => one.offset),
        expected,
      );
    }
    const late = await readOffsets(kafka, counting.topic, new Date(Date.now() + 3_600_000));
    assert.deepEqual(
      late.map((one) => one.since),
      late.map((one) => one.high),
    );
    const unknown = readOffsets(kafka, "no-such-topic");
    await assert.rejects(unknown, (error) => isFault(error));
  });
});

describe("a replay", () => {
  test("under the handler's name runs what the inbox does not know, and nothing else", async () => {
    const handler = counter();
    await handle(handler, 5);
    await sql`delete from outrider.inbox where "offset" = 1`;
    const plan = await planAll(false);
    const [unknown] = await sql`
      select count(*)::int as n from outrider.watermarks
      where "group" = ${group} and next_offset > 1`;
    assert.deepEqual([plan.records, plan.records - plan.known], [20, unknown?.n]);
    const earlier = await readWatermarks();
    const id = await create(false);
    assert.equal(await replay(id, handler), "done");
    const counts = Object.values(await effects()).flat();
    assert.equal(counts.length, 20 + (unknown?.n ?? 0));
    const done = await readReplay(sql, id);
    assert.deepEqual([done.state, done.passed, done.records], ["done", 20, 20]);
    assert.deepEqual(await readWatermarks(), earlier);
  });

  test("is refused where its group is halted, or has another log than Kafka", async () => {
    const handler = counter();
    await handle(handler, 1);
    await inbox?.stop();
    inbox = undefined;
    const id = await create(true);
    const isConflict = (error: unknown) => isFault(error, "conflict");
    for (const change of [sql`halted_at = now()`, sql`topic_id = ${randomUUID()}`]) {
      const kept = await sql`select * from outrider.watermarks where "group" = ${group}`;
      await sql`update outrider.watermarks set ${change} where "group" = ${group}`;
      await assert.rejects(planAll(true), isConflict);
      await assert.rejects(replay(id, handler, { isResumed: true }), isConflict);
      await sql`delete from outrider.watermarks where "group" = ${group}`;
      await sql`insert into outrider.watermarks ${sql(kept)}`;
    }
    assert.deepEqual(await effects(), eachKey(1));
    assert.equal(await replay(id, handler, { isResumed: true }), "done");
  });

  test("reads nothing that its group has not read", async () => {
    const handler = counter();
    await handle(handler, 2);
    await inbox?.stop();
    inbox = undefined;
    for (const key of keys) await counting.write(db, key, 3);
    const isThere = async () =>
      (await readOffsets(kafka, counting.topic)).reduce((sum, one) => sum + one.high, 0) === 12;
    await until(isThere, { what: "the records" });
    const plan = await planAll(true);
    assert.equal(plan.records, 8);
    assert.equal(await replay(await create(true), handler), "done");
    assert.deepEqual(await effects(), eachKey(1, 2, 1, 2));
    const nobody = await planReplay(
      sql,
      { ...wish(false), group: "nobody" },
      (await readOffsets(kafka, counting.topic)).map((one) => ({ ...one, begin: 0 })),
    );
    assert.deepEqual([nobody.records, nobody.unread], [0, [0, 1, 2]]);
    const refused = sql.begin((tx) => createReplay(tx, wish(false), { ...who, ranges: [] }));
    await assert.rejects(refused, (error) => isFault(error, "not_found"));
  });

  test("under a name of its own runs everything again, in order, also what fails", async () => {
    const world = { isBroken: false };
    const handler = counter((n) => {
      if (world.isBroken && n === 2) throw new Error("no");
    });
    await handle(handler, 3);
    world.isBroken = true;
    const id = await create(true);
    assert.equal(await replay(id, handler), "done");
    assert.deepEqual(await effects(), eachKey(1, 2, 3, 1));
    const held = await readReplay(sql, id);
    assert.deepEqual([held.dead, held.ranAs], [4, `test.counter#${id}`]);
    // Repaired: it goes on in order, under the same name.
    world.isBroken = false;
    for (const letter of await searchLetters(sql, { handler: held.ranAs }, { limit: 10 })) {
      await sql.begin((tx) => redriveLetter(tx, { id: letter.id, ...who }));
    }
    assert.equal(await replay(id, handler, { isResumed: true }), "done");
    assert.deepEqual(await effects(), eachKey(1, 2, 3, 1, 2, 3));
    assert.equal((await readReplay(sql, id)).dead, 0);
  });

  test("goes on where it was stopped or could not read, and runs nothing twice", async () => {
    const stopping = new AbortController();
    let runs = 0;
    const handler = counter(() => {
      runs += 1;
      if (runs === 40) stopping.abort();
    });
    await handle(handler, 8);
    const id = await create(true);
    assert.equal(await replay(id, handler, { signal: stopping.signal }), "stopped");
    const failing: ReadRanges = async (reading) => {
      const [range] = reading.ranges;
      if (range) await readRanges(kafka, { ...reading, ranges: [range] });
      throw new Error("Kafka is away");
    };
    const failed = replay(id, handler, { isResumed: true, read: failing });
    await assert.rejects(failed, /Kafka is away/);
    assert.equal((await readReplay(sql, id)).state, "running");
    assert.equal(await replay(id, handler, { isResumed: true }), "done");
    const once = [1, 2, 3, 4, 5, 6, 7, 8];
    assert.deepEqual(await effects(), eachKey(...once, ...once));
  });

  test("that is cancelled stops, and is not resumed", async () => {
    const handler = counter(() => new Promise((resolve) => setTimeout(resolve, 20)));
    await handle(handler, 6);
    const id = await create(true);
    const running = replay(id, handler);
    await sql.begin((tx) => cancelReplay(tx, id));
    assert.equal(await running, "stopped");
    const twice = sql.begin((tx) => cancelReplay(tx, id));
    await assert.rejects(twice, (error) => isFault(error, "conflict"));
    await assert.rejects(readReplay(sql, 999_999), (error) => isFault(error, "not_found"));
  });
});
