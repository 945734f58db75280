import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import type { Handler } from "@outrider/inbox";
import type { Envelope } from "@outrider/event";
import { createOutbox } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import type { Database, Sql } from "@outrider/postgres";
import { orderCancelled, orderCreated } from "../../apps/shop/src/events.ts";
import type { OrderCancelled, OrderCreated } from "../../apps/shop/src/events.ts";
import { orderStatsHandler } from "../../apps/shop/src/handlers/order-stats.ts";
import { orderSummary } from "../../apps/shop/src/handlers/order-summary.ts";
import { catalogue } from "../../apps/shop/src/topics.ts";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { failureOf, recordAt } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { silentLog } from "../support/silent-log.ts";
import { handledBy } from "../support/handled.ts";

const outbox = createOutbox(catalogue);

let database: TestDatabase;
let db: Database;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  db = connectDatabase({ url: database.url, name: "test-worker", poolMax: 8 });
  sql = connect({ url: database.url, name: "test-onlooker", poolMax: 1 });
});

afterAll(async () => {
  await db?.$client.end({ timeout: 1 });
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

beforeEach(async () => {
  await sql`truncate shop.order_summaries, shop.order_stats, outrider.inbox`;
});

/** Runs a handler as the worker does: from records, in one transaction. */
const run = (handler: Handler, events: readonly Envelope[]): Promise<number> =>
  handledBy((work) => outbox.transact(db, work), {
    handler,
    deliveries: events.map((event, offset) =>
      createDelivery(recordAt(event, { topic: "order-events", offset })),
    ),
    attempt: 1,
    log: silentLog,
    stopping: new AbortController().signal,
  });

const lines = [
  { sku: "chair", quantity: 2, unitPriceMinor: 50 },
  { sku: "table", quantity: 1, unitPriceMinor: 23 },
];

const created = (change: Partial<OrderCreated["data"]> = {}): OrderCreated =>
  orderCreated.create(
    {
      orderId: randomUUID(),
      customerId: "c-1",
      currency: "EUR",
      lines,
      totalMinor: 123,
      placedAt: "2026-01-02T03:04:05.678Z",
      ...change,
    },
    { id: randomUUID(), occurredAt: new Date(), sequence: 1 },
  );

const cancelled = ({ data: { orderId, customerId, ...more } }: OrderCreated): OrderCancelled =>
  orderCancelled.create(
    {
      orderId,
      customerId,
      currency: more.currency,
      totalMinor: more.totalMinor,
      placedAt: more.placedAt,
      reason: "changed my mind",
      cancelledAt: "2026-01-03T00:00:00.001Z",
    },
    { id: randomUUID(), occurredAt: new Date(), sequence: 2 },
  );

const summaries = async () =>
  (await sql`select * from shop.order_summaries`).map((row) => ({ ...row }));

const stats = async () =>
  (
    await sql`
      select customer_id, day::text, currency, orders, cancelled, revenue_minor::text as revenue
      from shop.order_stats order by customer_id, day, currency`
  ).map((row) => Object.values(row).join(" "));

describe("the summary of an order", () => {
  test("is what the order said, with milliseconds", async () => {
    const order = created();
    await run(orderSummary, [order]);
    expect(await summaries()).toEqual([
      {
        order_id: order.data.orderId,
        customer_id: "c-1",
        status: "placed",
        currency: "EUR",
        line_count: 2,
        total_minor: "123",
        version: 1,
        placed_at: new Date("2026-01-02T03:04:05.678Z"),
        cancelled_at: null,
        cancel_reason: null,
      },
    ]);
  });

  test("is cancelled by its cancellation, in one batch or in two", async () => {
    const [one, other] = [created(), created()];
    await run(orderSummary, [one, cancelled(one), other]);
    await run(orderSummary, [cancelled(other)]);
    const found = await summaries();
    expect(found.length).toBe(2);
    for (const summary of found) {
      expect(summary).toMatchObject({
        status: "cancelled",
        version: 2,
        cancelled_at: new Date("2026-01-03T00:00:00.001Z"),
        cancel_reason: "changed my mind",
        total_minor: "123",
      });
    }
  });

  test("is made once, however often the event comes", async () => {
    const order = created();
    expect(await run(orderSummary, [order, order])).toBe(1);
    expect(await run(orderSummary, [order, cancelled(order)])).toBe(1);
    expect(await summaries()).toMatchObject([{ version: 2 }]);
  });

  test("is not made up for a cancellation that has no order", async () => {
    const lost = cancelled(created());
    expect(String(await failureOf(run(orderSummary, [lost])))).toContain("no summary to cancel");
    expect(await summaries()).toEqual([]);
    expect((await sql`select from outrider.inbox`).length).toBe(0);
  });
});

describe("statistics", () => {
  test("add up orders and revenue per customer, UTC day and currency", async () => {
    const night = "2026-01-02T23:30:00.000-01:00";
    const first = created();
    const orders = [
      first,
      created({ totalMinor: 7 }),
      created({ customerId: "c-0", currency: "USD" }),
      created({ placedAt: night }),
    ];
    await run(orderStatsHandler, orders);
    await run(orderStatsHandler, [cancelled(first), created({ totalMinor: 1_000 })]);
    expect(await stats()).toEqual([
      "c-0 2026-01-02 USD 1 0 123",
      "c-1 2026-01-02 EUR 3 1 1007",
      "c-1 2026-01-03 EUR 1 0 123",
    ]);
  });

  test("count an event once, however often it comes", async () => {
    const order = created();
    await run(orderStatsHandler, [order, order]);
    await run(orderStatsHandler, [order]);
    expect(await stats()).toEqual(["c-1 2026-01-02 EUR 1 0 123"]);
  });

  test("are right beyond what a JavaScript number holds", async () => {
    const totalMinor = Number.MAX_SAFE_INTEGER;
    await run(orderStatsHandler, [created({ totalMinor }), created({ totalMinor })]);
    expect(await stats()).toEqual([`c-1 2026-01-02 EUR 2 0 ${2n * BigInt(totalMinor)}`]);
  });

  test("of batches side by side add up without a deadlock, in any order", async () => {
    const customers = Array.from({ length: 40 }, (_, n) => `c-${n}`);
    for (let round = 0; round < 10; round += 1) {
      const orders = customers.map((customerId) => created({ customerId, totalMinor: 5 }));
      const batches = Array.from({ length: 6 }, (_, n) => {
        const mine = orders.map((order) => created({ ...order.data, orderId: randomUUID() }));
        return n % 2 === 0 ? mine : mine.toReversed();
      });
      await Promise.all(batches.map((batch) => run(orderStatsHandler, batch)));
    }
    const [row] = await sql`
      select count(*)::int as rows, min(orders) as low, max(orders) as high,
        sum(revenue_minor)::int as revenue
      from shop.order_stats`;
    expect({ ...row }).toEqual({ rows: 40, low: 60, high: 60, revenue: 40 * 60 * 5 });
  });
});
