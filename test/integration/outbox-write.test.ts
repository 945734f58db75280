import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Emit } from "@outrider/event";
import { createOutbox } from "@outrider/outbox";
import { connect, connectDatabase, rawSql } from "@outrider/postgres";
import type { Database, Sql, Transaction } from "@outrider/postgres";
import { sql as drizzleSql } from "drizzle-orm";
import { codeOf, countedOn, failureOf } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";

const { catalogue, count } = countedOn("counted", 20_000);
const outbox = createOutbox(catalogue);

let database: TestDatabase;
let db: Database;
/** Looks on from outside of every transaction. */
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  db = connectDatabase({ url: database.url, name: "test-writer", poolMax: 5 });
  sql = connect({ url: database.url, name: "test-onlooker", poolMax: 2 });
  await sql`create table things (name text primary key)`;
  await sql`create table statements (n int)`;
  await sql`
    create function note_statement() returns trigger language plpgsql as
    $$ begin insert into statements values (1); return null; end $$`;
  await sql`
    create trigger note_statement after insert on outrider.outbox
    for each statement execute function note_statement()`;
  await sql`
    alter table outrider.outbox add constraint nothing_bad
    check (position('bad' in convert_from(payload, 'UTF8')) = 0)`;
});

afterAll(async () => {
  await db?.$client.end({ timeout: 1 });
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

beforeEach(async () => {
  await sql`truncate outrider.outbox, things, statements`;
});

/** What anyone sees in the outbox, in id order, as `key:n`. */
const stored = async (): Promise<string[]> => {
  const rows = await sql<{ name: string }[]>`
    select convert_from(key, 'UTF8') || ':'
      || (convert_from(payload, 'UTF8')::jsonb ->> 'n') as name
    from outrider.outbox order by id`;
  return rows.map((row) => row.name);
};

const things = async (): Promise<string[]> =>
  (await sql<{ name: string }[]>`select name from things order by name`).map((row) => row.name);

const addThing = (tx: Transaction, name: string) =>
  tx.execute(drizzleSql`insert into things values (${name})`);

const undo = () => Promise.reject(new Error("undo"));

describe("write", () => {
  test("events and rows are seen by others when the transaction commits, not before", async () => {
    await db.transaction(async (tx) => {
      await addThing(tx, "a");
      await outbox.write(tx, count("a", 1), count("b", 1));
      expect(await stored()).toEqual([]);
      expect(await things()).toEqual([]);
    });
    expect(await stored()).toEqual(["a:1", "b:1"]);
    expect(await things()).toEqual(["a"]);
  });

  test("a rollback leaves neither", async () => {
    const failure = await failureOf(
      db.transaction(async (tx) => {
        await addThing(tx, "a");
        await outbox.write(tx, count("a", 1));
        await undo();
      }),
    );
    expect(failure).toHaveProperty("message", "undo");
    expect(await stored()).toEqual([]);
    expect(await things()).toEqual([]);
  });

  test("an event that is refused rejects before anything is sent", async () => {
    const failure = await failureOf(
      db.transaction((tx) => outbox.write(tx, count("a", 1), count("a", 2, "x".repeat(20_000)))),
    );
    expect(codeOf(failure)).toBe("event_too_large");
    expect(await stored()).toEqual([]);
  });

  test("the columns say what the event says", async () => {
    const event = { ...count("a", 7), headers: { correlationId: "c", tenant: 't"\\{}' } };
    await db.transaction((tx) => outbox.write(tx, event));
    const [row] = await sql`select * from outrider.outbox`;
    expect(row).toMatchObject({
      event_id: event.id,
      type: "test.counted",
      version: 1,
      sequence: "7",
      topic: "counted",
      key: Buffer.from("a"),
      payload: Buffer.from(JSON.stringify(event.data)),
    });
    // An object, not the text of one: that is what a client of another parser setting stores.
    expect(row?.headers).toEqual({
      ce_source: "test",
      ce_category: "domain",
      ce_time: event.occurredAt,
      "content-type": "application/json",
      ce_correlationid: "c",
      ce_tenant: 't"\\{}',
    });
  });
});

describe("transact", () => {
  test("everything is written in one statement at the end, ids rising as emitted", async () => {
    const names = Array.from({ length: 300 }, (_, n) => `${"hcdaxb"[n % 6]}:${n}`);
    const value = await outbox.transact(db, async (tx, emit) => {
      for (const name of names.slice(0, 299)) emit(count(name.slice(0, 1), Number(name.slice(2))));
      await addThing(tx, "a");
      expect((await tx.execute(drizzleSql`select 1 from outrider.outbox`)).length).toBe(0);
      emit(count("f", 299));
      return "done";
    });
    expect(value).toBe("done");
    expect(await stored()).toEqual([...names.slice(0, 299), "f:299"]);
    expect((await sql`select from statements`).length).toBe(1);
    const order = await sql`select sequence::int as n from outrider.outbox order by id`;
    expect(order.map((row) => row.n)).toEqual(Array.from({ length: 300 }, (_, n) => n));
  });

  test("nothing emitted, nothing written", async () => {
    await outbox.transact(db, (tx) => addThing(tx, "a"));
    expect(await things()).toEqual(["a"]);
    expect((await sql`select from statements`).length).toBe(0);
  });

  test("work that throws leaves neither rows nor events", async () => {
    const failure = await failureOf(
      outbox.transact(db, async (tx, emit) => {
        await addThing(tx, "a");
        emit(count("a", 1));
        await undo();
      }),
    );
    expect(failure).toHaveProperty("message", "undo");
    expect([await stored(), await things()]).toEqual([[], []]);
  });

  test("an insert that Postgres refuses rejects the whole of it", async () => {
    const failure = await failureOf(
      outbox.transact(db, async (tx, emit) => {
        await addThing(tx, "a");
        emit(count("a", 1), count("a", 2, "bad"), count("a", 3));
      }),
    );
    expect(codeOf(failure)).toBe("23514");
    expect([await stored(), await things()]).toEqual([[], []]);
  });

  for (const isEmitting of [true, false]) {
    const what = isEmitting ? "with events" : "without an event";
    // Postgres answers its COMMIT with a ROLLBACK, which the client takes for a success.
    test(`work ${what} whose failing statement nobody awaits is no success`, async () => {
      const failure = await failureOf(
        outbox.transact(db, async (tx, emit) => {
          await addThing(tx, "a");
          if (isEmitting) emit(count("a", 1));
          addThing(tx, "a").catch(() => {});
        }),
      );
      expect(codeOf(failure)).toBeString();
      expect([await stored(), await things()]).toEqual([[], []]);
    });
  }

  test("an event that is refused is not stored, nor is what was emitted with it", async () => {
    await outbox.transact(db, async (_tx, emit) => {
      emit(count("a", 1));
      expect(() => emit(count("a", 2), count("a", 3, "x".repeat(20_000)))).toThrow();
      emit(count("a", 4));
    });
    expect(await stored()).toEqual(["a:1", "a:4"]);
  });

  test("emitting after the end throws, after a commit as after a rollback", async () => {
    const emits: Emit[] = [];
    await outbox.transact(db, async (_tx, emit) => void emits.push(emit));
    await failureOf(outbox.transact(db, (_tx, emit) => (emits.push(emit), undo())));
    await outbox.transact(db, async (tx) => {
      await outbox.transact(tx, async (_inner, emit) => void emits.push(emit));
      for (const emit of emits) expect(codeOf(thrownBy(() => emit(count("a", 1))))).toBe(ended);
    });
    expect(emits.length).toBe(3);
    expect(await stored()).toEqual([]);
  });
});

const ended = "emit_after_end";

const thrownBy = (act: () => void): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe("transact in a transaction", () => {
  test("a savepoint that is released keeps its events where they were emitted", async () => {
    await outbox.transact(db, async (tx, emit) => {
      emit(count("a", 1));
      await outbox.transact(tx, async (inner, emitInner) => {
        emitInner(count("a", 2));
        await addThing(inner, "inner");
        await outbox.transact(inner, async (_, emitInnermost) => emitInnermost(count("a", 3)));
        emitInner(count("a", 4));
      });
      emit(count("a", 5));
    });
    expect(await stored()).toEqual(["a:1", "a:2", "a:3", "a:4", "a:5"]);
    expect(await things()).toEqual(["inner"]);
    expect((await sql`select from statements`).length).toBe(1);
  });

  test("a savepoint that is rolled back drops its events and no others", async () => {
    await outbox.transact(db, async (tx, emit) => {
      emit(count("a", 1));
      const failure = await failureOf(
        outbox.transact(tx, async (inner, emitInner) => {
          await addThing(inner, "inner");
          emitInner(count("a", 98));
          await outbox.transact(inner, async (_, emitInnermost) => emitInnermost(count("a", 99)));
          await undo();
        }),
      );
      expect(failure).toHaveProperty("message", "undo");
      emit(count("a", 2));
    });
    expect(await stored()).toEqual(["a:1", "a:2"]);
    expect(await things()).toEqual([]);
  });

  test("the outer rollback takes the events of a released savepoint with it", async () => {
    await failureOf(
      outbox.transact(db, async (tx) => {
        await outbox.transact(tx, async (_, emit) => emit(count("a", 1)));
        await undo();
      }),
    );
    expect(await stored()).toEqual([]);
  });

  test("in a plain drizzle transaction it writes at the end of its savepoint", async () => {
    await db.transaction(async (tx) => {
      await outbox.transact(tx, async (_, emit) => emit(count("a", 1)));
      await failureOf(outbox.transact(tx, (_, emit) => (emit(count("a", 2)), undo())));
      await outbox.write(tx, count("a", 3));
      expect(await stored()).toEqual([]);
    });
    expect(await stored()).toEqual(["a:1", "a:3"]);
    await failureOf(
      db.transaction(async (tx) => {
        await outbox.transact(tx, async (_, emit) => emit(count("a", 4)));
        await undo();
      }),
    );
    expect(await stored()).toEqual(["a:1", "a:3"]);
  });

  test("a plain savepoint in between does not change the order", async () => {
    await outbox.transact(db, async (tx, emit) => {
      emit(count("a", 1));
      await tx.transaction((plain) =>
        outbox.transact(plain, async (_, emitInner) => emitInner(count("a", 2))),
      );
      emit(count("a", 3));
    });
    expect(await stored()).toEqual(["a:1", "a:2", "a:3"]);
  });

  test("a nested unit of work that nobody waits for takes the whole with it", async () => {
    let late: Promise<unknown> = Promise.resolve();
    const whole = outbox.transact(db, async (tx, emit) => {
      await addThing(tx, "outer");
      emit(count("a", 1));
      late = failureOf(
        outbox.transact(tx, async (inner, emitInner) => {
          await addThing(inner, "late");
          emitInner(count("a", 2));
        }),
      );
    });
    // Its rows would be committed behind its parent's back, without their event.
    expect(codeOf(await failureOf(whole))).toBe("transaction_ended");
    await late;
    expect([await stored(), await things()]).toEqual([[], []]);
  });
});

test("drizzle's statements and ours run in the same transaction, at every depth", async () => {
  const ids = async (tx: Transaction): Promise<unknown[]> => {
    const [theirs] = await tx.execute(drizzleSql`select txid_current()::text as id`);
    const [ours] = await rawSql(tx)`select txid_current()::text as id`;
    return [theirs?.id, ours?.id];
  };
  await db.transaction(async (tx) => {
    const [first, ...others] = await ids(tx);
    await tx.transaction(async (inner) => {
      expect(first).toBeString();
      expect([...others, ...(await ids(inner))]).toEqual([first, first, first]);
    });
  });
});
