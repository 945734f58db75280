import { afterAll, beforeAll, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { answerOnce, removeExpiredKeys } from "@outrider/http";
import type { IdempotentRequest, Problem } from "@outrider/http";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { createTestShop, someOrder } from "../support/shop.ts";
import type { TestShop } from "../support/shop.ts";

let database: TestDatabase | undefined;
let shop: TestShop;

beforeAll(async () => {
  database = await createTestDatabase();
  shop = createTestShop(database.url);
});

afterAll(async () => {
  await shop?.close();
  await database?.drop();
});

const place = (key: string, body: object = someOrder) =>
  shop.post("/v1/orders", body, { "idempotency-key": key });

const count = async (table: "orders" | "events"): Promise<number> => {
  const sql = shop.db.$client;
  const [row] = await sql<{ n: number }[]>`
    select count(*)::int as n from ${table === "orders" ? sql`shop.orders` : sql`outrider.outbox`}`;
  return row?.n ?? -1;
};

const wholeOf = async (response: Response) => ({
  status: response.status,
  location: response.headers.get("location"),
  type: response.headers.get("content-type"),
  body: await response.text(),
});

test("the same key and body gives the first answer again and does nothing", async () => {
  const first = await wholeOf(await place("again"));
  const before = [await count("orders"), await count("events")];
  expect(first.status).toBe(201);
  expect(await wholeOf(await place("again"))).toEqual(first);
  expect(await wholeOf(await place('"again"'))).toEqual(first);
  expect([await count("orders"), await count("events")]).toEqual(before);
});

test("the same key with another body is refused, elsewhere it is another key", async () => {
  const order = JSON.parse((await wholeOf(await place("reused"))).body);
  const response = await place("reused", { ...someOrder, currency: "USD" });
  expect(response.status).toBe(422);
  const problem = (await response.json()) as Problem;
  expect(problem.type).toBe("urn:outrider:problem:idempotency_key_reused");
  const cancel = () =>
    shop.post(`/v1/orders/${order.id}/cancel`, { reason: "r" }, { "idempotency-key": "reused" });
  const cancelled = await wholeOf(await cancel());
  expect(cancelled.status).toBe(200);
  expect(await wholeOf(await cancel())).toEqual(cancelled);
});

test("the same order is the same, however its id is written", async () => {
  const { id } = JSON.parse((await wholeOf(await place("way"))).body) as { id: string };
  const encoded = id.replaceAll(/[0-9a-f]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
  const cancel = async (way: string) => {
    const sent = { "idempotency-key": "cancelled" };
    return wholeOf(await shop.post(`/v1/orders/${way}/cancel`, { reason: "r" }, sent));
  };
  const first = await cancel(id);
  expect(first.status).toBe(200);
  for (const way of [id.toUpperCase(), encoded]) expect(await cancel(way)).toEqual(first);
});

test("a body that is no UTF-8 is neither stored nor answered with another's answer", async () => {
  const before = await count("orders");
  const json = JSON.stringify({ ...someOrder, lines: [{ ...someOrder.lines[0], sku: "?" }] });
  for (const byte of [0x80, 0xff]) {
    const body = Uint8Array.from(json, (char) => (char === "?" ? byte : char.charCodeAt(0)));
    const response = await shop.post("/v1/orders", body, { "idempotency-key": "bytes" });
    expect(response.status).toBe(400);
  }
  expect(await count("orders")).toBe(before);
  const mark = new TextEncoder().encode(`\ufeff${json}`);
  const marked = await wholeOf(await shop.post("/v1/orders", mark, { "idempotency-key": "mark" }));
  expect(marked.status).toBe(201);
  expect((await shop.post("/v1/orders", json, { "idempotency-key": "mark" })).status).toBe(422);
});

test("twenty at once place one order; each gets that order or is told to wait", async () => {
  const before = await count("orders");
  const answers = await Promise.all(
    Array.from({ length: 20 }, async () => wholeOf(await place("at-once"))),
  );
  const good = answers.filter((answer) => answer.status === 201);
  expect(good.length).toBeGreaterThan(0);
  expect(new Set(good.map((answer) => answer.body)).size).toBe(1);
  expect(answers.filter((answer) => ![201, 409].includes(answer.status))).toEqual([]);
  expect(await count("orders")).toBe(before + 1);
});

const request: IdempotentRequest = {
  scope: "POST /things anonymous",
  key: "k",
  fingerprint: new Uint8Array(32),
};
const answer = { status: 200, headers: { location: "/things/1" }, body: "first" };

test("while the first still runs, the second is told so at once", async () => {
  const begun = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const first = shop.db.transaction((tx) =>
    answerOnce(tx, request, async () => {
      begun.resolve();
      await go.promise;
      return answer;
    }),
  );
  await begun.promise;
  const second = shop.db.transaction((tx) => answerOnce(tx, request, async () => answer));
  const error = await second.catch((caught: unknown) => caught);
  expect(isFault(error, "idempotency_key_in_use")).toBe(true);
  go.resolve();
  expect(await first).toEqual(answer);
  const third = { ...answer, body: "third" };
  expect(await shop.db.transaction((tx) => answerOnce(tx, request, async () => third))).toEqual(
    answer,
  );
});

test("what fails, or is not a success, is not remembered", async () => {
  const other = { ...request, key: "fails" };
  const run = (act: () => Promise<typeof answer>) =>
    shop.db.transaction((tx) => answerOnce(tx, other, act));
  const failing = run(async () => {
    throw new Error("no");
  });
  expect(await failing.catch((error: Error) => error.message)).toBe("no");
  expect(await run(async () => ({ ...answer, status: 404 }))).toMatchObject({ status: 404 });
  expect(await run(async () => ({ ...answer, body: "at last" }))).toMatchObject({
    body: "at last",
  });
  expect(await run(async () => answer)).toMatchObject({ body: "at last" });
});

test("a key is forgotten with the transaction that was rolled back after it", async () => {
  const other = { ...request, key: "rolled-back" };
  const rolledBack = shop.db.transaction(async (tx) => {
    await answerOnce(tx, other, async () => answer);
    throw new Error("later");
  });
  expect(await rolledBack.catch((error: Error) => error.message)).toBe("later");
  const again = await shop.db.transaction((tx) =>
    answerOnce(tx, other, async () => ({ ...answer, body: "second" })),
  );
  expect(again.body).toBe("second");
});

test("old keys are removed, in batches, and young ones are kept", async () => {
  const sql = shop.db.$client;
  await sql`update outrider.idempotency_keys set created_at = now() - interval '25 hours'`;
  const old = await sql`select from outrider.idempotency_keys`;
  expect(old.count).toBeGreaterThan(2);
  await place("young");
  const expiry = { ageMs: 24 * 60 * 60 * 1000, batchMax: 2 };
  expect(await removeExpiredKeys(shop.db, expiry)).toBe(old.count);
  const left = await sql`select key from outrider.idempotency_keys`;
  expect(left.map((row) => row.key)).toEqual(["young"]);
});
