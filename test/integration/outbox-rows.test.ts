import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash, randomUUID } from "node:crypto";
import { createOutbox } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql, Transaction } from "@outrider/postgres";
import { sql as drizzleSql } from "drizzle-orm";
import fc from "fast-check";
import { insertRows } from "../../packages/outbox/src/insert.ts";
import type { OutboxRow } from "../../packages/outbox/src/insert.ts";
import { countedOn, failureOf } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";

const { catalogue, count } = countedOn("counted");
const outbox = createOutbox(catalogue);

let database: TestDatabase;
let db: Database;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  db = connectDatabase({ url: database.url, name: "test-writer", poolMax: 2 });
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

const rowWith = (key: Buffer, payload: Buffer): OutboxRow => ({
  eventId: randomUUID(),
  type: null,
  version: null,
  sequence: null,
  topic: "counted",
  key,
  headers: "{}",
  payload,
});

type Stored = { key: Buffer; payload: Buffer; shard: number };

/** Stores rows in one statement and gives back what Postgres made of them. */
const store = async (rows: readonly OutboxRow[]): Promise<Stored[]> => {
  await sql`truncate outrider.outbox`;
  await db.transaction((tx) => insertRows(tx, rows));
  return sql<Stored[]>`select key, payload, shard from outrider.outbox order by id`;
};

const shardOf = (key: Buffer): number => createHash("sha256").update(key).digest().readUInt8(0) & 7;

test("keys and payloads come back byte for byte, with every byte there is", async () => {
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const rows = [...all].map((byte) => rowWith(Buffer.from([byte]), Buffer.from([byte, 0, byte])));
  rows.push(rowWith(all, all), rowWith(Buffer.from("\\x41"), Buffer.alloc(0)));
  const stored = await store(rows);
  expect(stored.length).toBe(258);
  for (const [index, row] of rows.entries()) {
    expect(stored[index]?.key.equals(row.key)).toBe(true);
    expect(stored[index]?.payload.equals(row.payload)).toBe(true);
  }
});

test("any bytes come back as they were", async () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((array) => Buffer.from(array));
  const pairs = fc.array(fc.tuple(bytes, bytes), { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(pairs, async (made) => {
      const stored = await store(made.map(([key, payload]) => rowWith(key, payload)));
      const hex = (values: readonly Buffer[]) => values.map((value) => value.toString("hex"));
      expect(hex(stored.map((row) => row.key))).toEqual(hex(made.map(([key]) => key)));
      expect(hex(stored.map((row) => row.payload))).toEqual(hex(made.map(([, value]) => value)));
    }),
    { numRuns: 25 },
  );
});

test("headers come back as they were, whatever is in them", async () => {
  // Postgres keeps no NUL in JSON; everything else of Unicode it does.
  const text = fc.string({ unit: "binary" }).filter((value) => !value.includes("\0"));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.dictionary(text, text), { minLength: 1 }), async (made) => {
      await store(
        made.map((headers) => ({
          ...rowWith(Buffer.from("k"), Buffer.from("v")),
          headers: JSON.stringify(headers),
        })),
      );
      const rows = await sql`select headers from outrider.outbox order by id`;
      expect(rows.map((row) => ({ ...row.headers }))).toEqual(made.map((one) => ({ ...one })));
    }),
    { numRuns: 25 },
  );
});

describe("shards", () => {
  // Documented for writers in any language; a change here moves keys between shards.
  const vectors: Record<string, number> = {
    a: 2,
    b: 6,
    "order-1": 3,
    "customer-1": 0,
    "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b": 5,
    "Zoë 🚲": 3,
  };

  test("are the low three bits of SHA-256's first byte, by test vectors", async () => {
    const keys = Object.keys(vectors);
    const stored = await store(keys.map((key) => rowWith(Buffer.from(key), Buffer.from("v"))));
    expect(Object.fromEntries(stored.map((row) => [row.key.toString(), row.shard]))).toEqual(
      vectors,
    );
  });

  test("are so for any key", async () => {
    const key = fc.uint8Array({ minLength: 1, maxLength: 64 }).map((array) => Buffer.from(array));
    await fc.assert(
      fc.asyncProperty(fc.array(key, { minLength: 1, maxLength: 200 }), async (keys) => {
        const stored = await store(keys.map((one) => rowWith(one, Buffer.from("v"))));
        expect(stored.map((row) => row.shard)).toEqual(keys.map(shardOf));
      }),
      { numRuns: 20 },
    );
  });

  test("share keys evenly", async () => {
    const rows = Array.from({ length: 4000 }, (_, n) =>
      rowWith(Buffer.from(`order-${n}`), Buffer.from("v")),
    );
    await store(rows);
    const counts = await sql`
      select shard, count(*)::int as n from outrider.outbox group by shard order by shard`;
    expect(counts.map((row) => row.shard)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    for (const { n } of counts) expect(Math.abs(n - 500)).toBeLessThan(100);
  });
});

describe("a transaction with synchronous_commit off", () => {
  const commitOf = async (tx: Transaction): Promise<unknown> => {
    const [row] = await tx.execute(drizzleSql`select current_setting('synchronous_commit') as s`);
    return row?.s;
  };
  const turnOff = (tx: Transaction) => tx.execute(drizzleSql`set local synchronous_commit = off`);
  const undo = () => Promise.reject(new Error("undo"));

  test("is made durable by the first event", async () => {
    await db.transaction(async (tx) => {
      await turnOff(tx);
      expect(await commitOf(tx)).toBe("off");
      await outbox.write(tx, count("a", 1));
      expect(await commitOf(tx)).toBe("on");
    });
  });

  test("is left alone when it writes no event", async () => {
    await db.transaction(async (tx) => {
      await turnOff(tx);
      await tx.execute(drizzleSql`insert into things values ('a')`);
      expect(await commitOf(tx)).toBe("off");
    });
  });

  test("is durable when a savepoint with an event is released, not when it is undone", async () => {
    await db.transaction(async (tx) => {
      await turnOff(tx);
      const undone = tx.transaction(async (inner) => {
        await outbox.write(inner, count("a", 1));
        expect(await commitOf(inner)).toBe("on");
        await undo();
      });
      await failureOf(undone);
      expect(await commitOf(tx)).toBe("off");
      await tx.transaction((inner) => outbox.write(inner, count("a", 2)));
      expect(await commitOf(tx)).toBe("on");
    });
  });

  test("stays durable when a savepoint after its event is undone", async () => {
    await db.transaction(async (tx) => {
      await turnOff(tx);
      await outbox.write(tx, count("a", 1));
      await failureOf(tx.transaction((inner) => outbox.write(inner, count("a", 2)).then(undo)));
      expect(await commitOf(tx)).toBe("on");
    });
  });

  test("is durable when the session has it off, and the session stays as it is", async () => {
    const lazy = connectDatabase({ url: database.url, name: "test-lazy", poolMax: 1 });
    try {
      await lazy.execute(drizzleSql`set synchronous_commit = off`);
      await lazy.transaction(async (tx) => {
        await outbox.write(tx, count("a", 1));
        expect(await commitOf(tx)).toBe("on");
      });
      await lazy.transaction(async (tx) => expect(await commitOf(tx)).toBe("off"));
    } finally {
      await lazy.$client.end({ timeout: 1 });
    }
  });

  test("another level of durability is the writer's to choose", async () => {
    await db.transaction(async (tx) => {
      await tx.execute(drizzleSql`set local synchronous_commit = local`);
      await outbox.write(tx, count("a", 1));
      expect(await commitOf(tx)).toBe("local");
    });
  });
});
