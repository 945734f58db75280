import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { defineBatchHandler } from "@outrider/inbox";
import type { Handler, HandlerContext } from "@outrider/inbox";
import { createOutbox } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql, Transaction, TransactionSql } from "@outrider/postgres";
import { sql as drizzleSql } from "drizzle-orm";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { recordHandled } from "../../packages/inbox/src/record-handled.ts";
import { readMarks, writeWatermarks } from "../../packages/inbox/src/watermarks.ts";
import { codeOf, countedOn, failureOf, recordAt } from "../support/counted.ts";
import type { Counted } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";
import { handledBy } from "../support/handled.ts";

const topic = "counted";
const { catalogue, definition, count } = countedOn(topic);
const outbox = createOutbox(catalogue);

let database: TestDatabase;
let db: Database;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  db = connectDatabase({ url: database.url, name: "test-worker", poolMax: 6 });
  sql = connect({ url: database.url, name: "test-onlooker", poolMax: 4 });
  await sql`create table effects (n int)`;
});

afterAll(async () => {
  await db?.$client.end({ timeout: 1 });
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

beforeEach(async () => {
  await sql`truncate outrider.inbox, outrider.outbox, outrider.watermarks, effects`;
});

const record = (tx: Transaction, ids: readonly string[], handler = "test.handler") =>
  recordHandled(tx, {
    statementTimeoutMs: 5000,
    handler,
    topic,
    partition: 0,
    events: ids.map((eventId, offset) => ({ eventId, offset })),
  });

const recorded = async (): Promise<string[]> =>
  (await sql`select event_id from outrider.inbox order by event_id`).map((row) => row.event_id);

const effects = async (): Promise<number[]> =>
  (await sql`select n from effects order by n`).map((row) => row.n);

/** Somebody waits for a lock in this database. */
const someoneWaits = () =>
  until(
    async () =>
      (
        await sql`
          select from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`
      ).length > 0,
    { what: "a transaction that waits for another" },
  );

test("an outcome is durable, also where commits do not wait for the disk", async () => {
  // A worker goes on behind what it takes for stored: a crash must not take it back.
  const id = crypto.randomUUID();
  const commits = (write: (tx: TransactionSql) => Promise<unknown>) =>
    sql.begin(async (tx) => {
      await tx`set local synchronous_commit = off`;
      await write(tx);
      return (await tx`show synchronous_commit`)[0]?.synchronous_commit;
    });
  const insert = (tx: TransactionSql) => tx`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    values ('test.handler', ${id}, 'parked', ${topic}, 0, 0)`;
  expect(await commits(insert)).toBe("on");
  const update = (tx: TransactionSql) => tx`update outrider.inbox set state = 'handled'`;
  expect(await commits(update)).toBe("on");
  expect(await commits((tx) => tx`select 1`)).toBe("off");
});

describe("the record that an event is handled", () => {
  test("is made once per event and handler; only the new ones are given back", async () => {
    const [a, b, c] = [randomUUID(), randomUUID(), randomUUID()];
    const first = await db.transaction((tx) => record(tx, [a, b]));
    expect([...first].sort()).toEqual([a, b].sort());
    const second = await db.transaction((tx) => record(tx, [c, b, a]));
    expect([...second]).toEqual([c]);
    const other = await db.transaction((tx) => record(tx, [a], "test.other"));
    expect([...other]).toEqual([a]);
    const rows = await sql`
      select handler, event_id, state, topic, partition, "offset" from outrider.inbox
      where event_id = ${b}`;
    expect(rows).toMatchObject([
      { handler: "test.handler", state: "handled", topic, partition: 0, offset: "1" },
    ]);
  });

  test("whatever its outcome was: parked and dead events do not run again either", async () => {
    const [parked, dead] = [randomUUID(), randomUUID()];
    await sql`
      insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
      values ('test.handler', ${parked}, 'parked', 't', 0, 0),
        ('test.handler', ${dead}, 'dead', 't', 0, 1)`;
    const fresh = await db.transaction((tx) => record(tx, [parked, dead]));
    expect(fresh.size).toBe(0);
  });

  for (const isCommitted of [true, false]) {
    const outcome = isCommitted ? "skips after its commit" : "runs after its rollback";
    test(`of another worker's open transaction is waited for: the second ${outcome}`, async () => {
      const id = randomUUID();
      const gate = Promise.withResolvers<void>();
      const inserted = Promise.withResolvers<void>();
      const first = db.transaction(async (tx) => {
        await record(tx, [id]);
        inserted.resolve();
        await gate.promise;
        if (!isCommitted) throw new Error("undo");
      });
      await inserted.promise;
      const second = db.transaction((tx) => record(tx, [id]));
      await someoneWaits();
      gate.resolve();
      await first.catch(() => {});
      expect((await second).size).toBe(isCommitted ? 0 : 1);
      expect(await recorded()).toEqual([id]);
    });
  }

  test("two batches in opposite orders do not deadlock", async () => {
    for (let round = 0; round < 30; round += 1) {
      const ids = Array.from({ length: 300 }, () => randomUUID());
      const run = (order: readonly string[]) => db.transaction((tx) => record(tx, order));
      const [one, other] = await Promise.all([run(ids), run(ids.toReversed())]);
      expect(one.size + other.size).toBe(300);
    }
  });
});

const deliveriesOf = (events: readonly Counted[]) =>
  events.map((event, offset) => createDelivery(recordAt(event, { topic, offset })));

type RunHandler = (events: readonly Counted[], context: HandlerContext) => Promise<void>;

const handlerOf = (run: RunHandler, timeoutMs = 10_000): Handler =>
  defineBatchHandler({ name: "test.handler", on: [definition], timeoutMs, run });

const noteAll: RunHandler = async (events, { tx }) => {
  for (const { data } of events)
    await tx.execute(drizzleSql`insert into effects values (${data.n})`);
};

const run = (handler: Handler, events: readonly Counted[], stopping?: AbortSignal) =>
  handledBy((work) => outbox.transact(db, work), {
    handler,
    deliveries: deliveriesOf(events),
    attempt: 1,
    log: silentLog,
    stopping: stopping ?? new AbortController().signal,
  });

describe("a batch", () => {
  test("runs what is new, in order, and says how many that were", async () => {
    const events = [1, 2, 3, 4].map((n) => count("k", n));
    const seen: number[][] = [];
    const handler = handlerOf(async (some, context) => {
      seen.push(some.map((event) => event.data.n));
      await noteAll(some, context);
    });
    expect(await run(handler, events.slice(1, 3))).toBe(2);
    expect(await run(handler, events)).toBe(2);
    expect(await run(handler, events)).toBe(0);
    expect(seen).toEqual([
      [2, 3],
      [1, 4],
    ]);
    expect(await effects()).toEqual([1, 2, 3, 4]);
  });

  test("runs an event once that is twice in it, at its first place", async () => {
    const [one, two] = [count("k", 1), count("k", 2)];
    const seen: number[] = [];
    const handler = handlerOf(async (some) => void seen.push(...some.map((event) => event.data.n)));
    expect(await run(handler, [one, two, one, { ...two, id: two.id.toUpperCase() }])).toBe(2);
    expect(seen).toEqual([1, 2]);
    const rows = await sql`select "offset" from outrider.inbox order by "offset"`;
    expect(rows.map((row) => row.offset)).toEqual(["0", "1"]);
  });

  test("whose handler throws leaves no record, no effect and no event", async () => {
    const handler = handlerOf(async (events, context) => {
      await noteAll(events, context);
      context.emit(count("k", 9));
      throw new Error("no");
    });
    const failure = await failureOf(run(handler, [count("k", 1)]));
    expect(failure).toHaveProperty("message", "no");
    expect([await recorded(), await effects()]).toEqual([[], []]);
    expect((await sql`select from outrider.outbox`).length).toBe(0);
  });

  test("whose handler does not await a statement that fails is not handled", async () => {
    const handler = handlerOf(async (_, { tx }) => {
      tx.execute(drizzleSql`insert into effects values ('no number')`).catch(() => {});
    });
    // Rolled back by Postgres but taken for handled, it would be lost.
    expect(codeOf(await failureOf(run(handler, [count("k", 1)])))).toBeString();
    expect(await recorded()).toEqual([]);
  });

  test("writes what its handler emits with the record, in order", async () => {
    const handler = handlerOf(async (events, { emit }) => {
      for (const { data } of events) emit(count("out", data.n * 10));
    });
    await run(handler, [count("k", 1), count("k", 2)]);
    const rows = await sql`select sequence::int as n from outrider.outbox order by id`;
    expect(rows.map((row) => row.n)).toEqual([10, 20]);
    expect((await recorded()).length).toBe(2);
  });
});

describe("a handler past its time limit", () => {
  test("is rolled back, and what it tries later is refused", async () => {
    const late = Promise.withResolvers<unknown[]>();
    const handler = handlerOf(async (events, context) => {
      await noteAll(events, context);
      expect(context.signal.aborted).toBe(false);
      await new Promise<void>((resolve) =>
        context.signal.addEventListener("abort", () => resolve()),
      );
      // What comes next on the connection is somebody else's.
      await delay(20);
      const { tx, emit } = context;
      const tries = [noteAll(events, context), outbox.write(tx, count("k", 9))];
      const emitting = (async () => emit(count("k", 9)))();
      late.resolve(
        await Promise.all([...tries, emitting].map(failureOf).map((one) => one.catch(String))),
      );
    }, 100);
    const startedMs = performance.now();
    expect(codeOf(await failureOf(run(handler, [count("k", 1)])))).toBe("handler_timeout");
    expect(performance.now() - startedMs).toBeLessThan(2000);
    expect((await late.promise).map(codeOf)).toEqual([
      "transaction_ended",
      "transaction_ended",
      "emit_after_end",
    ]);
    expect([await recorded(), await effects()]).toEqual([[], []]);
    expect((await sql`select from outrider.outbox`).length).toBe(0);
  });

  test("in a savepoint of its own does no harm either", async () => {
    const late = Promise.withResolvers<unknown>();
    const handler = handlerOf(
      (events, context) =>
        context.tx.transaction(async (tx) => {
          await new Promise<void>((resolve) =>
            context.signal.addEventListener("abort", () => resolve()),
          );
          await delay(20);
          late.resolve(await failureOf(noteAll(events, { ...context, tx })).catch(String));
        }),
      100,
    );
    expect(codeOf(await failureOf(run(handler, [count("k", 1)])))).toBe("handler_timeout");
    expect(codeOf(await late.promise)).toBe("transaction_ended");
    expect([await recorded(), await effects()]).toEqual([[], []]);
  });

  test("in the middle of a long statement is ended too", async () => {
    const handler = handlerOf(async (_, { tx }) => {
      await tx.execute(drizzleSql`select pg_sleep(4)`);
    }, 100);
    const startedMs = performance.now();
    expect(codeOf(await failureOf(run(handler, [count("k", 1)])))).toBe("handler_timeout");
    expect(performance.now() - startedMs).toBeLessThan(2000);
    expect(await recorded()).toEqual([]);
  });

  test("or whose worker has to stop is rolled back at once", async () => {
    const stopping = new AbortController();
    const handler = handlerOf(async (events, context) => {
      await noteAll(events, context);
      stopping.abort();
      await new Promise(() => {});
    });
    const failure = await failureOf(run(handler, [count("k", 1)], stopping.signal));
    expect(codeOf(failure)).toBe("handler_timeout");
    expect([await recorded(), await effects()]).toEqual([[], []]);
  });
});

describe("watermarks", () => {
  const log = { clusterId: "cluster-1", topicId: "topic-1" };
  const at = (partition: number, offset: number, name = topic) => ({
    ...{ topic: name, partition, offset, leaderEpoch: 2 },
    ...log,
  });
  const all = [at(0, 0), at(1, 0), at(0, 0, "other")];
  const read = async (group = "g") =>
    (await readMarks(sql, group, all))
      .map((one) => at(one.partition, one.next, one.topic))
      .sort((a, b) => a.topic.localeCompare(b.topic) || a.partition - b.partition);

  test("are read as written, per group, topic and partition; none where none was", async () => {
    expect(await read()).toEqual([]);
    await writeWatermarks(sql, "g", [at(1, 2 ** 40), at(0, 0, "other")]);
    expect(await read()).toEqual([at(1, 2 ** 40), at(0, 0, "other")]);
    expect(await read("another")).toEqual([]);
  });

  test("never go back", async () => {
    await writeWatermarks(sql, "g", [at(0, 100), at(1, 5)]);
    await writeWatermarks(sql, "g", [at(0, 99), at(1, 6)]);
    expect(await read()).toEqual([at(0, 100), at(1, 6)]);
  });

  test("two workers that write them in opposite orders do not deadlock", async () => {
    const partitions = Array.from({ length: 200 }, (_, partition) => partition);
    for (let round = 1; round <= 30; round += 1) {
      const positions = partitions.map((partition) => at(partition, round));
      await Promise.all([
        writeWatermarks(sql, "g", positions),
        writeWatermarks(sql, "g", positions.toReversed()),
      ]);
    }
    const [row] = await sql`select min(next_offset)::int as low from outrider.watermarks`;
    expect(row?.low).toBe(30);
  });
});
