import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { createOutbox } from "@outrider/outbox";
import { connect, connectDatabase, guardTransaction, rawSql } from "@outrider/postgres";
import type { Database, Sql, Transaction } from "@outrider/postgres";
import { sql as drizzleSql } from "drizzle-orm";
import { codeOf, countedOn, failureOf } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";

const { catalogue, count } = countedOn("counted");
const outbox = createOutbox(catalogue);

let database: TestDatabase;
/** One connection, so that a late statement meets whoever uses it next. */
let db: Database;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  db = connectDatabase({ url: database.url, name: "test-writer", poolMax: 1 });
  sql = connect({ url: database.url, name: "test-onlooker", poolMax: 1 });
  await sql`create table things (name text primary key)`;
});

afterAll(async () => {
  await db?.$client.end({ timeout: 1 });
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

beforeEach(async () => {
  await sql`truncate outrider.outbox, things`;
});

const things = async (): Promise<string[]> =>
  (await sql<{ name: string }[]>`select name from things order by name`).map((row) => row.name);

const addThing = async (tx: Transaction, name: string) =>
  tx.execute(drizzleSql`insert into things values (${name})`);

/** Every way to send something. */
const waysIn: Record<string, (tx: Transaction) => Promise<unknown>> = {
  "a statement": (tx) => addThing(tx, "late"),
  "a savepoint": async (tx) => tx.transaction((inner) => addThing(inner, "late")),
  "a nested unit of work": async (tx) => outbox.transact(tx, (inner) => addThing(inner, "late")),
  "an event": async (tx) => outbox.write(tx, count("late", 1)),
  "a raw statement": async (tx) => rawSql(tx)`insert into things values ('late')`,
};

/** How a transaction comes to its end, each giving the transaction away. */
const endings: Record<string, (leak: (tx: Transaction) => void) => Promise<unknown>> = {
  "that is committed": (leak) => outbox.transact(db, async (tx) => leak(tx)),
  "that is rolled back": (leak) =>
    failureOf(outbox.transact(db, (tx) => (leak(tx), Promise.reject(new Error("undo"))))),
  "whose savepoint is released": (leak) =>
    outbox.transact(db, (tx) => outbox.transact(tx, async (inner) => leak(inner))),
  "whose savepoint is rolled back": (leak) =>
    outbox.transact(db, async (tx) => {
      const inner = outbox.transact(tx, (late) => (leak(late), Promise.reject(new Error("undo"))));
      await failureOf(inner);
    }),
  "whose plain savepoint is over": (leak) =>
    outbox.transact(db, (tx) => tx.transaction(async (inner) => leak(inner))),
};

const endedBy = async (ending: keyof typeof endings): Promise<Transaction> => {
  const leaked: Transaction[] = [];
  await endings[ending]?.((tx) => leaked.push(tx));
  const [tx] = leaked;
  if (!tx) throw new Error("no transaction");
  return tx;
};

for (const ending of Object.keys(endings)) {
  for (const [what, act] of Object.entries(waysIn)) {
    test(`in a transaction ${ending}, ${what} is refused`, async () => {
      const late = await endedBy(ending);
      expect(codeOf(await failureOf(act(late)))).toBe("transaction_ended");
      expect(await things()).toEqual([]);
      expect((await sql`select from outrider.outbox`).length).toBe(0);
    });
  }
}

test("a savepoint that is over is refused while its transaction goes on", async () => {
  await outbox.transact(db, async (tx) => {
    const leaked: Transaction[] = [];
    await outbox.transact(tx, async (inner) => void leaked.push(inner));
    const [inner] = leaked;
    if (!inner) throw new Error("no transaction");
    expect(codeOf(await failureOf(addThing(inner, "late")))).toBe("transaction_ended");
    await addThing(tx, "on");
  });
  expect(await things()).toEqual(["on"]);
});

test("without the guard a late statement joins the connection's next transaction", async () => {
  const client = connect({ url: database.url, name: "test-unguarded", poolMax: 1 });
  const leaked: { unsafe(query: string): Promise<unknown> }[] = [];
  await client.begin(async (tx) => void leaked.push(tx));
  const failure = await failureOf(
    client.begin(async () => {
      await leaked[0]?.unsafe("insert into things values ('stowaway')");
      throw new Error("undo");
    }),
  ).finally(() => client.end({ timeout: 1 }));
  expect(failure).toHaveProperty("message", "undo");
  // It told its caller that it had succeeded, and went down with a rollback that was not its own.
  expect(await things()).toEqual([]);
});

test("with the guard nothing joins the connection's next transaction", async () => {
  const late = await endedBy("that is committed");
  await outbox.transact(db, async (tx) => {
    await addThing(tx, "own");
    expect(codeOf(await failureOf(addThing(late, "stowaway")))).toBe("transaction_ended");
  });
  expect(await things()).toEqual(["own"]);
});

test("guarding one transaction leaves its successors alone", async () => {
  await db.transaction(async (tx) => guardTransaction(tx)());
  await db.transaction((tx) => addThing(tx, "next"));
  await outbox.transact(db, (tx) => addThing(tx, "after"));
  expect(await things()).toEqual(["after", "next"]);
});
