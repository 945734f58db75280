/** Events whose handler fails: parked with their key, run again, or given up. On real Postgres. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { fault, isFault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { defineHandler, discardLetter, readParked, redriveLetter } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import { createOutbox } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { sql as query } from "drizzle-orm";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { finish } from "../../packages/inbox/src/parking/outcome.ts";
import { claimDue } from "../../packages/inbox/src/parking/queue.ts";
import { startRunner } from "../../packages/inbox/src/parking/runner.ts";
import type { Runner, RunnerLimits } from "../../packages/inbox/src/parking/runner.ts";
import { createPartition } from "../../packages/inbox/src/partition.ts";
import type { Partition } from "../../packages/inbox/src/partition.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { countedOn, recordAt } from "../support/counted.ts";
import type { Counted } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

const topic = "counted";
const { catalogue, definition, count } = countedOn(topic);
const outbox = createOutbox(catalogue);
const name = "test.handler";

let database: TestDatabase;
let db: Database;
let sql: Sql;
let runners: Runner[];
let partitions: Partition[];

beforeAll(async () => {
  database = await createTestDatabase();
  db = connectDatabase({ url: database.url, name: "parking-test", poolMax: 10 });
  sql = connect({ url: database.url, name: "parking-test-platform", poolMax: 8 });
  await sql`
    create table effects (
      position bigint generated always as identity, key text, n int, unique (key, n)
    )`;
});

afterAll(async () => {
  await db?.$client.end({ timeout: 1 });
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

beforeEach(() => {
  runners = [];
  partitions = [];
});

afterEach(async () => {
  await Promise.all([
    ...runners.map((runner) => runner.stop(100)),
    ...partitions.map((partition) => partition.drain(100)),
  ]);
  await sql`
    truncate outrider.inbox, outrider.parked, outrider.parked_heads, outrider.dead_letters,
      effects`;
});

const deps = () => ({
  sql,
  transact: ((work) => outbox.transact(db, work)) as Parameters<typeof createWork>[0]["transact"],
  log: silentLog,
  random: () => 0,
});

/** Its effect can be there once only; `fails` decides by key, number and attempt. */
const handlerOf = (
  fails: (event: Counted, attempt: number) => unknown,
  more: Partial<Parameters<typeof defineHandler>[0]> = {},
): Handler =>
  defineHandler({
    retry: { attemptsMax: 5, baseMs: 1, capMs: 1 },
    ...more,
    name,
    on: [definition],
    run: async (event, { tx, attempt }) => {
      const { key, n } = event.data;
      await tx.execute(query`insert into effects (key, n) values (${key}, ${n})`);
      const error = fails(event as Counted, attempt);
      if (error) throw error;
    },
  });

/** One partition's worth of events: `a1 b1 a2`. */
const recordsOf = (text: string): KafkaRecord[] =>
  text
    .split(" ")
    .map((word, offset) =>
      recordAt(count(word.slice(0, 1), Number(word.slice(1))), { topic, offset }),
    );

const feed = (handler: Handler, records: readonly KafkaRecord[]): Partition => {
  const partition = createPartition({ topic, partition: 0, offset: 0 }, [handler], {
    ...deps(),
    work: createWork(deps()),
    retry: { baseMs: 1, capMs: 5 },
    onResolved: () => {},
  });
  partitions.push(partition);
  partition.admit(records);
  return partition;
};

const resolved = (partition: Partition) =>
  until(() => partition.unresolved() === 0, { what: "an outcome for every record" });

const startRunning = (handler: Handler, limits: Partial<RunnerLimits> = {}): Runner => {
  const defaults = {
    parkedPollMs: 5,
    parkedKeysMax: 4,
    claimMs: 5000,
    transientMaxAgeMs: 60_000,
  };
  const runner = startRunner([handler], deps(), { ...defaults, ...limits });
  runners.push(runner);
  return runner;
};

const effects = async (): Promise<string> =>
  (await sql`select key || n as name from effects order by position`)
    .map((row) => row.name)
    .join(" ");
const ofKey = async (key: string): Promise<number[]> =>
  (await sql`select n from effects where key = ${key} order by position`).map((row) => row.n);
const countOf = async (table: string): Promise<number> =>
  (await sql.unsafe(`select count(*)::int as count from outrider.${table}`))[0]?.count;
const states = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    (await sql`select state, count(*)::int as count from outrider.inbox group by state`).map(
      (row) => [row.state, row.count],
    ),
  );
const emptied = (table: string) =>
  until(async () => (await countOf(table)) === 0, { what: `an empty ${table}` });

const boom = new Error("not now");

describe("an event that fails", () => {
  test("is parked with the later ones of its key; other keys go on", async () => {
    const handler = handlerOf(({ data }) => data.key === "a" && data.n === 2 && boom);
    await resolved(feed(handler, recordsOf("a1 b1 a2 b2 a3 b3 a4 b4")));
    expect(await ofKey("a")).toEqual([1]);
    expect(await ofKey("b")).toEqual([1, 2, 3, 4]);
    expect(await states()).toEqual({ handled: 5, parked: 3 });
    expect(await countOf("parked_heads")).toBe(1);
    // Only the first of them has been run.
    const rows = await sql`select attempt, message from outrider.parked order by "offset"`;
    expect(rows.map((row) => [row.attempt, row.message])).toEqual([
      [1, "not now"],
      [0, null],
      [0, null],
    ]);
  });

  test("runs again in order with what waits behind it, until nothing does", async () => {
    let failures = 0;
    const handler = handlerOf(({ data }) => data.n === 2 && failures++ < 3 && boom);
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 b1 a2 b2 a3 b3 a4 b4")));
    await emptied("parked_heads");
    expect(await ofKey("a")).toEqual([1, 2, 3, 4]);
    expect(await ofKey("b")).toEqual([1, 2, 3, 4]);
    expect([await states(), await countOf("parked")]).toEqual([{ handled: 8 }, 0]);
  });

  test("tells its attempts to the handler", async () => {
    const attempts: number[] = [];
    const handler = handlerOf((_event, attempt) => {
      attempts.push(attempt);
      return attempt < 4 && boom;
    });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1")));
    await emptied("parked_heads");
    expect(attempts).toEqual([1, 2, 3, 4]);
  });

  test("is not run twice when its records come again", async () => {
    const records = recordsOf("a1 b1 a2 b2 a3");
    let isBroken = true;
    const handler = handlerOf(({ data }) => isBroken && data.key === "a" && boom);
    await resolved(feed(handler, records));
    await resolved(feed(handler, records));
    expect(await countOf("parked")).toBe(3);
    isBroken = false;
    startRunning(handler);
    await emptied("parked_heads");
    await resolved(feed(handler, records));
    expect(await ofKey("a")).toEqual([1, 2, 3]);
    expect(await states()).toEqual({ handled: 5 });
  });

  test("of a handler without an order waits alone", async () => {
    const handler = handlerOf(({ data }) => data.n === 1 && boom, { ordering: "none" });
    await resolved(feed(handler, recordsOf("a1 a2 a3")));
    expect(await ofKey("a")).toEqual([2, 3]);
    expect(await countOf("parked")).toBe(1);
  });

  test("since a dependency is away does not use up its attempts", async () => {
    let failures = 0;
    const away = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    const handler = handlerOf(() => failures++ < 12 && away, {
      retry: { attemptsMax: 2, baseMs: 1, capMs: 1 },
    });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1")));
    await emptied("parked_heads");
    expect([await effects(), await countOf("dead_letters")]).toEqual(["a1", 0]);
  });

  test("asks for a pause with Retry-After, and gets it", async () => {
    const handler = handlerOf(() => fault("conflict", "later", { retryAfterMs: 3_600_000 }));
    await resolved(feed(handler, recordsOf("a1")));
    const [row] = await sql`
      select extract(epoch from due_at - clock_timestamp())::int as seconds
      from outrider.parked_heads`;
    expect(row?.seconds).toBeGreaterThan(3500);
  });
});

describe("an event that is given up", () => {
  test("holds its key, and is a letter with everything in it", async () => {
    const handler = handlerOf(({ data }) => data.n === 1 && data.key === "a" && boom);
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 b1 a2 b2 a3")));
    await until(async () => (await countOf("dead_letters")) === 1, { what: "the letter" });
    await delay(50);
    expect(await effects()).toBe("b1 b2");
    expect(await states()).toEqual({ handled: 2, parked: 2, dead: 1 });
    expect(await readParked(sql, [name])).toEqual([{ handler: name, keys: 1, held: 1, events: 3 }]);
    const [letter] = await sql`select * from outrider.dead_letters`;
    expect(letter).toMatchObject({
      ...{ origin: "handler", handler: name, state: "open", topic, partition: 0, offset: "0" },
      ...{ attempts: 5, code: "Error", message: "not now", skipped: false, type: "test.counted" },
      ...{ version: 1, sequence: "1" },
    });
    expect(JSON.parse(letter?.payload).n).toBe(1);
    expect(letter?.fingerprint).toMatch(/^test\.handler \| Error \| not now/);
  });

  test("is passed over with the policy skip, which the letter says", async () => {
    const handler = handlerOf(({ data }) => data.n === 1 && boom, { onBury: "skip" });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 a2 a3")));
    await emptied("parked_heads");
    expect(await ofKey("a")).toEqual([2, 3]);
    const letters = await sql`select skipped from outrider.dead_letters`;
    expect(letters.map((row) => row.skipped)).toEqual([true]);
  });

  test("at once, when trying again cannot help: its bytes are kept as they came", async () => {
    const handler = handlerOf(() => undefined);
    const [first, ...rest] = recordsOf("a1 a2 b1") as [KafkaRecord, ...KafkaRecord[]];
    const bytes = Buffer.from([0x7b, 0x00, 0xff]);
    await resolved(feed(handler, [{ ...first, value: bytes }, ...rest]));
    expect(await effects()).toBe("b1");
    const [letter] = await sql`select code, payload, attempts from outrider.dead_letters`;
    expect(letter).toMatchObject({ code: "undecodable", attempts: 1 });
    expect(Buffer.from(letter?.payload).equals(bytes)).toBe(true);
    expect(await states()).toEqual({ handled: 1, parked: 1, dead: 1 });
  });
});

describe("a letter", () => {
  const who = { by: "ann", reason: "a test" };
  const letter = () =>
    until(
      async () => {
        const [row] = await sql`select id::float8 as id from outrider.dead_letters`;
        return row?.id as number | undefined;
      },
      { what: "the letter" },
    );

  /** a1 is dead, a2 and a3 wait behind it, or have gone on. */
  const bury = async (onBury: "hold" | "skip") => {
    const world = { isBroken: true };
    const handler = handlerOf(({ data }) => world.isBroken && data.n === 1 && boom, { onBury });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 a2 a3")));
    const id = await letter();
    if (onBury === "skip") await emptied("parked_heads");
    return { id, world };
  };

  test("that is redriven runs at its place, then what waits behind it", async () => {
    const { id, world } = await bury("hold");
    world.isBroken = false;
    await redriveLetter(sql, { id, ...who });
    await emptied("parked_heads");
    expect([await ofKey("a"), await states()]).toEqual([[1, 2, 3], { handled: 3 }]);
    const [row] = await sql`select state, closed_by, reason from outrider.dead_letters`;
    expect(row).toMatchObject({ state: "redriven", closed_by: "ann", reason: "a test" });
  });

  test("that is redriven in vain is open again, and holds its key again", async () => {
    const { id } = await bury("hold");
    await redriveLetter(sql, { id, ...who });
    const isOpen = async () =>
      (await sql`select from outrider.dead_letters where state = 'open'`).length === 1;
    await until(isOpen, { what: "the letter to be open" });
    expect([await effects(), await states()]).toEqual(["", { dead: 1, parked: 2 }]);
    const [row] = await sql`select attempts from outrider.dead_letters`;
    expect(row?.attempts).toBe(10);
  });

  test("that is edited runs as a new event at the old place", async () => {
    const { id } = await bury("hold");
    const eventId = "01a1fd9c-dbf5-763f-9075-add4726ffcad";
    const payload = Buffer.from(JSON.stringify({ key: "a", n: 0 }));
    await redriveLetter(sql, { id, ...who, edit: { eventId, payload } });
    await emptied("parked_heads");
    expect([await ofKey("a"), await states()]).toEqual([[0, 2, 3], { handled: 3, dead: 1 }]);
    const [row] = await sql`select replaced_by from outrider.dead_letters`;
    expect(row?.replaced_by).toBe(eventId);
  });

  test("that is discarded stays out, and what waits behind it runs", async () => {
    const { id } = await bury("hold");
    await discardLetter(sql, { id, ...who });
    await emptied("parked_heads");
    expect([await ofKey("a"), await states()]).toEqual([[2, 3], { handled: 2, dead: 1 }]);
  });

  test("that was skipped runs late, and not beside somebody who runs its key", async () => {
    const { id, world } = await bury("skip");
    world.isBroken = false;
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const running = db.transaction(async (tx) => {
      await tx.execute(query`
        insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
        values (${name}, '00000000-0000-4000-8000-000000000001', 'handled', ${topic}, 0, 9)`);
      begun.resolve();
      await gate.promise;
    });
    await begun.promise;
    await redriveLetter(sql, { id, ...who });
    await delay(100);
    expect(await ofKey("a")).toEqual([2, 3]);
    gate.resolve();
    await running;
    await emptied("parked_heads");
    expect(await ofKey("a")).toEqual([2, 3, 1]);
  });

  test("is decided about once", async () => {
    const { id } = await bury("hold");
    const both = await Promise.allSettled([
      redriveLetter(sql, { id, ...who }),
      discardLetter(sql, { id, ...who }),
    ]);
    expect(both.map((one) => one.status).sort()).toEqual(["fulfilled", "rejected"]);
    const refused = both.find((one) => one.status === "rejected");
    expect(isFault(refused?.reason, "conflict")).toBe(true);
    const unknown = await redriveLetter(sql, { id: 999_999, ...who }).catch((error) => error);
    expect(isFault(unknown, "not_found")).toBe(true);
  });
});

describe("an event that ends its process", () => {
  test("runs alone after the first time, and is given up after the third", async () => {
    const handler = handlerOf(() => undefined);
    const records = recordsOf("a1 a2 b1");
    const events = records.map((record) => createDelivery(record));
    await createWork(deps()).parkUnrun(handler, events);
    expect([await effects(), await states()]).toEqual(["", { parked: 3 }]);
    // Claims whose processes are not heard of again.
    for (const expected of [2, 1, 1]) {
      const claims = await sql.begin((tx) => claimDue(tx, [name], { claimMs: 1, headsMax: 10 }));
      const ofA = claims.find((one) => one.rows[0]?.record.offset === 0);
      expect(ofA?.rows.length).toBe(expected);
      await delay(5);
    }
    startRunning(handler);
    const isBuried = async () => (await countOf("dead_letters")) >= 1;
    await until(isBuried, { what: "the letter" });
    const letters =
      await sql`select code, sequence::int as n from outrider.dead_letters order by id`;
    expect(letters.map((row) => row.code)).toContain("PROCESS_KILLED");
    expect(await ofKey("a")).toEqual([]);
  });
});

describe("races", () => {
  const claim = async (claimMs = 60_000) => {
    const claims = await sql.begin((tx) => claimDue(tx, [name], { claimMs, headsMax: 10 }));
    const [one] = claims;
    if (!one) throw new Error("nothing was due");
    return one;
  };
  const parked = async (text: string): Promise<readonly KafkaRecord[]> => {
    const records = recordsOf(text);
    await resolved(
      feed(
        handlerOf(() => boom),
        records,
      ),
    );
    await delay(5);
    return records;
  };

  test("parking an event that a new owner has handled does nothing", async () => {
    const [record] = recordsOf("a1") as [KafkaRecord];
    const delivery = createDelivery(record);
    await resolved(
      feed(
        handlerOf(() => undefined),
        [record],
      ),
    );
    await createWork(deps()).putAway(
      handlerOf(() => undefined),
      delivery,
      boom,
    );
    expect([await countOf("parked"), await states()]).toEqual([0, { handled: 1 }]);
  });

  test("a claim that ran out finishes nothing", async () => {
    await parked("a1 a2");
    const late = await claim(1);
    await delay(10);
    const next = await claim();
    expect(await sql.begin((tx) => finish(tx, late))).toBe(false);
    expect(next.rows.map((row) => [row.record.offset, row.lost])).toEqual([[0, 1]]);
    expect(await sql.begin((tx) => finish(tx, next))).toBe(true);
    const last = await claim();
    expect(last.rows.map((row) => [row.record.offset, row.lost])).toEqual([[1, 0]]);
    expect(await sql.begin((tx) => finish(tx, last))).toBe(true);
    expect(await countOf("parked_heads")).toBe(0);
  });

  test("a head is claimed once, however many want it", async () => {
    await parked("a1 b1 c1");
    const many = await Promise.all(
      Array.from({ length: 6 }, () =>
        sql.begin((tx) => claimDue(tx, [name], { claimMs: 60_000, headsMax: 10 })),
      ),
    );
    expect(many.flat()).toHaveLength(3);
  });

  test("an event that joins the queue while its last one leaves is not stranded", async () => {
    await parked("a1");
    const last = await claim();
    const gate = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const joining = db.transaction(async (tx) => {
      await tx.execute(query`
        insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
        values (${name}, '00000000-0000-4000-8000-000000000001', 'parked', ${topic}, 0, 1)`);
      await tx.execute(query`select id from outrider.parked_heads for share`);
      await tx.execute(query`
        insert into outrider.parked
          (head, handler, event_id, partition, "offset", timestamp_ms, headers)
        select id, handler, '00000000-0000-4000-8000-000000000001', 0, 1, 0, '[]'
        from outrider.parked_heads`);
      held.resolve();
      await gate.promise;
    });
    await held.promise;
    const finishing = sql.begin((tx) => finish(tx, last));
    await delay(50);
    gate.resolve();
    await joining;
    expect(await finishing).toBe(true);
    expect([await countOf("parked_heads"), await countOf("parked")]).toEqual([1, 1]);
    expect((await claim()).rows).toHaveLength(1);
  });

  test("a hot key is drained in batches", async () => {
    const texts = Array.from({ length: 400 }, (_, n) => `a${n + 1}`).join(" ");
    let isBroken = true;
    const handler = handlerOf(({ data }) => isBroken && data.n === 1 && boom);
    await resolved(feed(handler, recordsOf(texts)));
    expect(await countOf("parked")).toBe(400);
    isBroken = false;
    startRunning(handler);
    await emptied("parked_heads");
    const numbers = await ofKey("a");
    expect(numbers).toEqual(Array.from({ length: 400 }, (_, n) => n + 1));
    const [row] = await sql`
      select count(distinct xmin::text)::int as transactions from effects`;
    expect(row?.transactions).toBeLessThan(10);
  });
});
