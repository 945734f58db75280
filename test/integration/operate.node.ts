/** What operators do while a relay runs: dead letters, another layout, the guard. */

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { readTopic } from "@outrider/broker";
import { headerTexts, isFault } from "@outrider/event";
import { createOpenPublisher } from "@outrider/kafka";
import { isGuardOn, readOutboxStatus, relayout, setGuard } from "@outrider/outbox";
import { createRedrive, discardLetter, driveRedrive, readLetter } from "@outrider/redrive";
import { readRedrive, redriveLetter, resumeRedrive, searchLetters } from "@outrider/redrive";
import { testKafka } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import type { Counting, RelayScene } from "../support/relay-scene.ts";
import { createRelayScene, firstsOf, range } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";

const openPublisher = createOpenPublisher(testKafka(), silentLog, { clientId: "operate-test" });
const tooLarge = () => randomBytes(20_000).toString("base64");
const who = { by: "ann", reason: "a test" };

let scene: RelayScene;
let sql: RelayScene["sql"];
let counting: Counting;

const hasCode = (code: string) => (error: unknown) => isFault(error) && error.code === code;

/** A letter whose key has `waiting` events behind it. */
const bury = async (key: string, waiting: number): Promise<number> => {
  const held = await scene.countOf("outbox_held");
  await scene.write(counting, key, 1, tooLarge());
  for (const n of range(2, waiting + 1)) await scene.write(counting, key, n);
  const isHeld = async () => (await scene.countOf("outbox_held")) === held + waiting + 1;
  await until(isHeld, { what: "the held events", timeoutMs: 20_000 });
  const [newest] = await searchLetters(sql, { state: "open" }, { limit: 1 });
  assert.ok(newest);
  return newest.id;
};

before(async () => {
  scene = await createRelayScene(openPublisher);
  sql = scene.sql;
});
after(() => scene.end());
beforeEach(async () => {
  counting = countingOn(await createTopic(3, 10_000));
});
afterEach(() => scene.reset());

describe("dead letters", () => {
  test("are listed, shown with all they hold, and page by page", async () => {
    scene.start();
    const ids = [await bury("a", 2), await bury("b", 0), await bury("c", 1)];
    const letters = await searchLetters(sql, { state: "open" }, { limit: 2 });
    assert.deepEqual(
      letters.map((one) => one.id),
      ids.toReversed().slice(0, 2),
    );
    const [oldest] = await searchLetters(sql, {}, { limit: 10, before: ids[1] as number });
    assert.equal(oldest?.id, ids[0]);
    const letter = await readLetter(sql, ids[0] as number);
    assert.equal(letter.key, "a");
    assert.equal(letter.waiting, 2);
    assert.equal(letter.code, "MSG_SIZE_TOO_LARGE");
    assert.equal(JSON.parse(Buffer.from(letter.payload).toString()).n, 1);
    assert.equal(new Map(letter.headers).get("ce_id"), letter.eventId);
    assert.deepEqual(await searchLetters(sql, { state: "discarded" }, { limit: 10 }), []);
    await assert.rejects(readLetter(sql, 9_999_999), hasCode("not_found"));
  });

  test("go out as an edited event, with what waited behind them, in order", async () => {
    scene.start();
    const id = await bury("a", 5);
    const edit = { eventId: randomUUID(), payload: Buffer.from('{"key":"a","n":1}') };
    const broken = { ...edit, payload: Buffer.from("{") };
    const refused = sql.begin((tx) => redriveLetter(tx, { id, ...who, edit: broken }));
    await assert.rejects(refused, hasCode("invalid"));
    await sql.begin((tx) => redriveLetter(tx, { id, ...who, edit }));
    await scene.emptied("blocked");
    assert.deepEqual(await firstsOf(counting.topic, "a"), range(1, 6));
    const letter = await readLetter(sql, id);
    assert.equal(letter.state, "redriven");
    assert.deepEqual([letter.closedBy, letter.reason], ["ann", "a test"]);
    assert.equal(letter.replacedBy, edit.eventId);
  });

  test("are decided about once: of two operators one is told who was first", async () => {
    scene.start();
    const id = await bury("a", 1);
    const both = await Promise.allSettled([
      sql.begin((tx) => discardLetter(tx, { id, ...who })),
      sql.begin((tx) => discardLetter(tx, { id, by: "ben", reason: "too" })),
    ]);
    assert.deepEqual(both.map((one) => one.status).sort(), ["fulfilled", "rejected"]);
    const refused = both.find((one) => one.status === "rejected");
    assert.ok(hasCode("conflict")(refused?.reason));
    assert.match(String(refused?.reason), /is discarded, by (ann|ben) at 20/);
    await scene.emptied("blocked");
    assert.deepEqual(await firstsOf(counting.topic, "a"), [2]);
  });

  test("are redriven together, and it pauses when Kafka refuses the first one again", async () => {
    scene.start();
    const keys = ["a", "b", "c"];
    for (const key of keys) await bury(key, 2);
    const id = await sql.begin((tx) => createRedrive(tx, {}, { ...who, ratePerS: 1000 }));
    const signal = AbortSignal.timeout(30_000);
    const drive = () => driveRedrive(sql, id, { log: silentLog, random: () => 0, signal });
    assert.equal(await drive(), "paused");
    const paused = await readRedrive(sql, id);
    assert.deepEqual([paused.failed, paused.waiting], [1, 2]);
    // As if the topic took larger records now.
    await sql`
      update outrider.outbox_held set payload = convert_to('{"n":1}', 'UTF8')
      where length(payload) > 1000`;
    await sql.begin((tx) => resumeRedrive(tx, id, { by: "ben" }));
    assert.equal(await drive(), "done");
    const handled = async () => (await readRedrive(sql, id)).handled === 2;
    await until(handled, { what: "two keys", timeoutMs: 20_000 });
    const again = await sql.begin((tx) => createRedrive(tx, {}, { ...who, canary: 0 }));
    const how = { log: silentLog, random: () => 0, signal };
    assert.equal(await driveRedrive(sql, again, how), "done");
    await scene.emptied("blocked");
    for (const key of keys) assert.deepEqual(await firstsOf(counting.topic, key), [1, 2, 3]);
  });

  test("of a skipped event go out at the end of their key", async () => {
    scene.start({}, { skipTopics: [counting.topic] });
    await scene.write(counting, "a", 1, tooLarge());
    await scene.write(counting, "a", 2);
    await scene.emptied("outbox");
    const [letter] = await searchLetters(sql, { state: "open" }, { limit: 1 });
    assert.equal(letter?.skipped, true);
    const edit = { eventId: randomUUID(), payload: Buffer.from('{"key":"a","n":1}') };
    await sql.begin((tx) => redriveLetter(tx, { id: letter?.id ?? 0, ...who, edit }));
    await scene.emptied("outbox");
    assert.deepEqual(await firstsOf(counting.topic, "a"), [2, 1]);
    const [, last] = await readTopic(testKafka(), counting.topic);
    const { ce_id: id, ce_type: type } = headerTexts(last?.headers ?? []);
    assert.deepEqual([id, type], [edit.eventId, "test.counted"]);
  });
});

describe("the status", () => {
  test("says who owns what, what waits, what is blocked, and who hangs", async () => {
    scene.start();
    const id = await bury("a", 3);
    await until(async () => (await readOutboxStatus(sql)).shards.every((one) => one.owner), {
      what: "owners",
    });
    const writer = await sql.reserve();
    await writer`begin`;
    await writer`
      insert into outrider.outbox (event_id, topic, key, headers, payload)
      values (gen_random_uuid(), ${counting.topic}, 'h', '{}', '')`;
    const hangs = async () => (await readOutboxStatus(sql)).hangingWriters.length === 1;
    await until(hangs, { what: "the writer that hangs", timeoutMs: 15_000 });
    const status = await readOutboxStatus(sql);
    assert.equal(status.shards.length, 8);
    assert.ok(status.shards.every((one) => one.owner === "test" && one.epoch > 0));
    assert.deepEqual(
      status.blocked.map((one) => [one.letterId, one.waiting]),
      [[id, 3]],
    );
    assert.deepEqual(
      status.openLetters.map((one) => ({ ...one })),
      [{ code: "MSG_SIZE_TOO_LARGE", count: 1 }],
    );
    assert.match(String(status.horizon?.name), /^pid \d+ scene/);
    assert.match(String(status.hangingWriters[0]?.doing), /^idle in transaction: insert into/);
    assert.deepEqual(
      status.relays.map((one) => [one.name, one.isAlive]),
      [["test", true]],
    );
    await writer`rollback`;
    writer.release();
  });
});

describe("another number of shards", () => {
  test("loses no event and no order while two relays publish and writers write", async () => {
    const relays = [scene.start(), scene.start()];
    const keys = range(1, 12).map((n) => `key-${n}`);
    let isWriting = true;
    const writing = keys.map(async (key) => {
      let n = 0;
      while (isWriting) await scene.write(counting, key, (n += 1));
      return n;
    });
    let { layout } = await relayout(sql, { shards: 8 });
    for (const shards of [16, 4, 1, 8]) {
      const owned = () => relays.reduce((sum, one) => sum + one.state().owned.length, 0);
      assert.deepEqual(await relayout(sql, { shards }), { layout: (layout += 1), shards });
      await until(async () => owned() === shards, { what: `${shards} owned shards` });
    }
    isWriting = false;
    const counts = await Promise.all(writing);
    await scene.emptied("outbox");
    for (const [at, key] of keys.entries()) {
      assert.deepEqual(await firstsOf(counting.topic, key), range(1, counts[at] ?? 0));
    }
    assert.deepEqual(await relayout(sql, { shards: 8 }), { layout, shards: 8 });
  });

  test("is refused when it is none, or when a writer does not end", async () => {
    for (const shards of [0, 3, 512]) {
      await assert.rejects(relayout(sql, { shards }), hasCode("invalid"));
    }
    const writer = await sql.reserve();
    await writer`begin`;
    await writer`
      insert into outrider.outbox (event_id, topic, key, headers, payload)
      values (gen_random_uuid(), 't', 'k', '{}', '')`;
    const busy: string[][] = [];
    const onBusy = (sessions: readonly string[]) => void busy.push([...sessions]);
    const refused = relayout(sql, { shards: 16, lockTimeoutMs: 200, triesMax: 2, onBusy });
    await assert.rejects(refused, /do not end: pid \d+ \(scene\), open for/);
    assert.equal(busy.length, 2);
    await writer`rollback`;
    writer.release();
    const [row] = await sql`select count(*)::int as count from outrider.shards`;
    assert.equal(row?.count, 8);
  });
});

describe("another number of shards beside a transaction that locks", () => {
  // What passes do in one statement: plans made once lock the other way than new ones.
  const steps = {
    outbox: () => sql`delete from outrider.outbox where false`,
    shards: () => sql`select from outrider.shards for share`,
    blocked: () => sql`delete from outrider.blocked where false`,
  };
  type Table = keyof typeof steps;
  const orders: readonly (readonly [Table, Table])[] = [
    ["outbox", "shards"],
    ["shards", "outbox"],
    ["outbox", "blocked"],
    ["blocked", "outbox"],
    ["blocked", "shards"],
    ["shards", "blocked"],
  ];

  const hasBegun = async (): Promise<boolean> => {
    const rows = await sql`
      select from pg_locks
      where mode = 'AccessExclusiveLock' and locktype = 'relation'
        and database = (select oid from pg_database where datname = current_database())`;
    return rows.length > 0;
  };

  for (const [first, second] of orders) {
    test(`${first} and then ${second}: it goes on, and the change is made after it`, async () => {
      const other = await sql.reserve();
      try {
        await other`begin`;
        // It, and not the change, is the one that a deadlock would end.
        await other`set local deadlock_timeout = '20ms'`;
        await other`${steps[first]()}`;
        const changing = relayout(sql, { shards: 16, lockTimeoutMs: 500 });
        await until(hasBegun, { what: "the change", pollMs: 5 });
        await other`${steps[second]()}`;
        await other`commit`;
        assert.equal((await changing).shards, 16);
      } finally {
        await other`rollback`;
        other.release();
        await relayout(sql, { shards: 8 });
      }
    });
  }
});

describe("the guard for writers that lock nothing", () => {
  /** Two transactions write an event of one key; the first one to write commits last. */
  const race = async (): Promise<string[]> => {
    const insert = (tx: typeof sql, name: string) => tx`
      insert into outrider.outbox (event_id, topic, key, headers, payload)
      values (gen_random_uuid(), 't', 'k', '{}', ${Buffer.from(name)}) returning id`;
    const hasWritten = Promise.withResolvers<void>();
    const mayCommit = Promise.withResolvers<void>();
    const first = sql.begin(async (tx) => {
      await insert(tx as unknown as typeof sql, "first");
      hasWritten.resolve();
      await mayCommit.promise;
      await tx`insert into public.commits values ('first')`;
    });
    await hasWritten.promise;
    const second = sql.begin(async (tx) => {
      await insert(tx as unknown as typeof sql, "second");
      await tx`insert into public.commits values ('second')`;
    });
    await Promise.race([second, new Promise((resolve) => setTimeout(resolve, 300))]);
    mayCommit.resolve();
    await Promise.all([first, second]);
    const rows = await sql`select payload from outrider.outbox order by id`;
    const commits = await sql`select name from public.commits order by position`;
    return [...rows.map((row) => String(row.payload)), ...commits.map((row) => row.name)];
  };

  beforeEach(async () => {
    await sql`create table public.commits (name text, position serial)`;
  });
  afterEach(async () => {
    await sql`drop table public.commits`;
    await setGuard(sql, false);
  });

  test("off: ids may be in another order than commits", async () => {
    assert.equal(await isGuardOn(sql), false);
    assert.deepEqual(await race(), ["first", "second", "second", "first"]);
  });

  test("on: the second writer of a key waits for the first, and ids are in order", async () => {
    await setGuard(sql, true);
    assert.equal(await isGuardOn(sql), true);
    assert.deepEqual(await race(), ["first", "second", "first", "second"]);
  });
});
