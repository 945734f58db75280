import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Problem } from "@outrider/http";
import fc from "fast-check";
import type { Order } from "../../apps/shop/src/order.ts";
import type { OrderPage } from "../../apps/shop/src/order-summary.ts";
import { orderSummaries } from "../../apps/shop/src/tables.ts";
import type { OpenApiDocument } from "../support/answer-check.ts";
import { numericRequests } from "../support/numeric-inputs.ts";
import { createCuttable } from "../support/cuttable.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { createTestShop, someOrder } from "../support/shop.ts";
import type { TestShop } from "../support/shop.ts";
import { until } from "../support/until.ts";

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

const placed = async (body: object = someOrder): Promise<Order> => {
  const response = await shop.post("/v1/orders", body);
  expect(response.status).toBe(201);
  return (await response.json()) as Order;
};

const problemOf = async (response: Response): Promise<Problem> => {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return (await response.json()) as Problem;
};

type EventRow = { type: string; sequence: number; headers: Record<string, string>; data: object };

const eventsOf = (orderId: string) => shop.db.$client<EventRow[]>`
  select type, sequence::int, headers, convert_from(payload, 'UTF8')::json as data
  from outrider.outbox where key = convert_to(${orderId}, 'UTF8') order by id`;

const count = async (what: "orders" | "events"): Promise<number> => {
  const sql = shop.db.$client;
  const table = what === "orders" ? sql`shop.orders` : sql`outrider.outbox`;
  const [row] = await sql<{ n: number }[]>`select count(*)::int as n from ${table}`;
  return row?.n ?? -1;
};

describe("placing an order", () => {
  test("answers with the order and where it is, and it can be read there", async () => {
    const response = await shop.post("/v1/orders", someOrder);
    expect(response.status).toBe(201);
    const order = (await response.json()) as Order;
    expect(order).toEqual({
      ...someOrder,
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
      status: "placed",
      totalMinor: 29_800,
      version: 1,
      placedAt: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    const location = response.headers.get("location") ?? "";
    expect(location).toBe(`/v1/orders/${order.id}`);
    const read = await shop.get(location);
    expect(await read.json()).toEqual(order);
  });

  test("writes one event with the order's version, time and the request as its cause", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const headers = { "x-request-id": "request-7", traceparent };
    const response = await shop.post("/v1/orders", someOrder, headers);
    const order = (await response.json()) as Order;
    const [event, ...more] = await eventsOf(order.id);
    expect(more).toEqual([]);
    expect(event).toMatchObject({ type: "order.order.created", sequence: 1 });
    expect(event?.data).toEqual({
      orderId: order.id,
      ...someOrder,
      totalMinor: 29_800,
      placedAt: order.placedAt,
    });
    expect(event?.headers).toMatchObject({
      ce_source: "shop",
      ce_time: order.placedAt,
      ce_correlationid: "request-7",
      traceparent,
    });
  });

  test("takes the largest order that is allowed, exactly", async () => {
    const line = { sku: "x".repeat(64), quantity: 10_000, unitPriceMinor: 1_000_000_000 };
    const order = await placed({ ...someOrder, lines: Array.from({ length: 100 }, () => line) });
    expect(order.totalMinor).toBe(1e15);
    const read = await shop.get(`/v1/orders/${order.id}`);
    expect(await read.json()).toEqual(order);
  });

  test("what is refused leaves nothing behind", async () => {
    const before = [await count("orders"), await count("events")];
    const bodies = [
      { ...someOrder, currency: "euro" },
      { ...someOrder, lines: [] },
      { ...someOrder, lines: [{ sku: "a\u0000b", quantity: 1, unitPriceMinor: 1 }] },
      { ...someOrder, discount: 5 },
    ];
    for (const body of bodies) expect((await shop.post("/v1/orders", body)).status).toBe(422);
    expect([await count("orders"), await count("events")]).toEqual(before);
  });

  test("no body makes it fail", async () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("\u0000", "\ud800", "EUR"),
    );
    const number = fc.oneof(fc.integer(), fc.double(), fc.maxSafeInteger());
    const odd = fc.oneof(text, number, fc.constant(null), fc.boolean());
    const line = fc.record(
      { sku: fc.oneof(text, odd), quantity: number, unitPriceMinor: number },
      { requiredKeys: [] },
    );
    const lines = fc.oneof(fc.array(line, { maxLength: 5 }), odd);
    const near = fc.record({ customerId: odd, currency: text, lines }, { requiredKeys: [] });
    const body = fc.oneof(
      near.map((value) => JSON.stringify(value)),
      fc.json(),
      text,
    );
    await fc.assert(
      fc.asyncProperty(body, fc.boolean(), async (sent, good) => {
        // Half of them reach the database: everything but the sku and the numbers is right.
        const merged = good
          ? { ...someOrder, lines: [{ ...someOrder.lines[0], sku: sent }] }
          : sent;
        const { status } = await shop.post("/v1/orders", merged);
        expect([201, 400, 413, 422]).toContain(status);
      }),
      { numRuns: 500 },
    );
    expect(shop.errors).toEqual([]);
  });
});

describe("cancelling an order", () => {
  test("gives version 2 and its event, and the order says so", async () => {
    const order = await placed();
    const response = await shop.post(`/v1/orders/${order.id}/cancel`, { reason: "too late" });
    expect(response.status).toBe(200);
    const cancelled = (await response.json()) as Order;
    expect(cancelled).toMatchObject({ status: "cancelled", version: 2, cancelReason: "too late" });
    expect(await (await shop.get(`/v1/orders/${order.id}`)).json()).toEqual(cancelled);
    const [, event] = await eventsOf(order.id);
    expect(event).toMatchObject({ type: "order.order.cancelled", sequence: 2 });
    expect(event?.data).toEqual({
      orderId: order.id,
      customerId: order.customerId,
      currency: "EUR",
      totalMinor: 29_800,
      placedAt: order.placedAt,
      reason: "too late",
      cancelledAt: cancelled.cancelledAt,
    });
  });

  test("happens once, however many try at the same time", async () => {
    const order = await placed();
    const cancel = () => shop.post(`/v1/orders/${order.id}/cancel`, { reason: "no" });
    const statuses = (await Promise.all(Array.from({ length: 10 }, cancel))).map((r) => r.status);
    expect(statuses.sort()).toEqual([200, ...Array(9).fill(409)]);
    expect(await eventsOf(order.id)).toHaveLength(2);
    expect((await problemOf(await cancel())).type).toBe("urn:outrider:problem:conflict");
  });

  test("of an order that is not there is a 404, also when the id is none", async () => {
    for (const id of ["0190a1b2-0000-7000-8000-000000000000", "17", "%00"]) {
      const response = await shop.post(`/v1/orders/${id}/cancel`, { reason: "no" });
      expect(response.status).toBe(404);
      expect((await shop.get(`/v1/orders/${id}`)).status).toBe(404);
      expect((await shop.get(`/v1/order-summaries/${id}`)).status).toBe(404);
    }
  });

  test("needs a reason", async () => {
    const order = await placed();
    const { errors } = await problemOf(await shop.post(`/v1/orders/${order.id}/cancel`, {}));
    expect(errors).toEqual([{ pointer: "/reason", detail: "is missing" }]);
  });
});

describe("a customer's orders", () => {
  test("come newest first, page by page, each once, and only theirs", async () => {
    const row = (n: number) => ({
      orderId: Bun.randomUUIDv7(),
      customerId: n === 9 ? "pager-2" : "pager",
      status: "placed" as const,
      currency: "EUR",
      lineCount: 1,
      totalMinor: n,
      version: 1,
      // Two and two at the same time, so that the id must decide.
      placedAt: new Date(Date.UTC(2026, 0, 1, 0, 0, 0, Math.floor(n / 2))),
    });
    await shop.db.insert(orderSummaries).values(Array.from({ length: 10 }, (_, n) => row(n)));
    const seen: number[] = [];
    let cursor: string | null = "";
    for (let page = 0; page < 10 && cursor !== null; page++) {
      const query: string = cursor && `&cursor=${cursor}`;
      const response = await shop.get(`/v1/customers/pager/orders?limit=2${query}`);
      const { items, nextCursor }: OrderPage = (await response.json()) as OrderPage;
      seen.push(...items.map((item) => item.totalMinor));
      cursor = nextCursor;
    }
    expect(seen).toEqual([8, 7, 6, 5, 4, 3, 2, 1, 0]);
    const one = await shop.get(
      `/v1/order-summaries/${(await shop.db.select().from(orderSummaries))[0]?.orderId}`,
    );
    expect(one.status).toBe(200);
  });

  test("has a summary each", async () => {
    const [row] = await shop.db.select().from(orderSummaries).limit(1);
    const response = await shop.get(`/v1/order-summaries/${row?.orderId}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ status: "placed", lineCount: 1, version: 1 });
  });

  test("a limit or cursor that is wrong is named", async () => {
    for (const [query, pointer] of [
      ["limit=0", "/limit"],
      ["limit=101", "/limit"],
      ["limit=1&limit=2", "/limit"],
      ["cursor=abc", "/cursor"],
    ]) {
      const problem = await problemOf(await shop.get(`/v1/customers/c/orders?${query}`));
      expect(problem).toMatchObject({ status: 422, errors: [{ pointer }] });
    }
    expect((await shop.get("/v1/customers/a%20b/orders")).status).toBe(404);
  });
});

test("every number is taken within its limits, and refused beyond them", async () => {
  const document = (await (await shop.get("/openapi.json")).json()) as OpenApiDocument;
  for (const { method, path, body, what, said } of numericRequests(document)) {
    const response = await (method === "GET" ? shop.get(path) : shop.post(path, body));
    const isFound = response.status !== 404;
    expect([path, what, response.status < 500]).toEqual([path, what, true]);
    const { errors = [] } = (await response.json()) as Problem;
    const isRefused = errors.some(({ pointer }) => pointer === said?.pointer);
    if (said && isFound) expect([path, what, isRefused]).toEqual([path, what, !said.isAllowed]);
  }
  expect(shop.errors).toEqual([]);
});

test("while the database is away every route says 503 and when to come back", async () => {
  const cuttable = await createCuttable(database?.url ?? "");
  const through = createTestShop(cuttable.url, { connectTimeoutS: 1 });
  try {
    expect((await through.get("/readyz")).status).toBe(200);
    const { id } = await placed();
    const inFlight = Array.from({ length: 20 }, () => through.post("/v1/orders", someOrder));
    await cuttable.cut();
    for (const answer of inFlight) expect([201, 503]).toContain((await answer).status);
    const answers = await Promise.all([
      through.post("/v1/orders", someOrder),
      through.post("/v1/orders", someOrder, { "idempotency-key": "away" }),
      through.get(`/v1/orders/${id}`),
      through.get("/v1/customers/c/orders"),
    ]);
    for (const answer of answers) {
      expect(answer.status).toBe(503);
      expect(answer.headers.get("retry-after")).toBe("2");
      expect((await problemOf(answer)).type).toBe("urn:outrider:problem:unavailable");
    }
    expect((await through.get("/readyz")).status).toBe(503);
    expect((await through.get("/livez")).status).toBe(200);
    await cuttable.restore();
    const isReady = async () => (await through.get("/readyz")).status === 200;
    await until(isReady, { what: "the database is used again" });
    expect((await through.get(`/v1/orders/${id}`)).status).toBe(200);
  } finally {
    await through.close();
    await cuttable.close();
  }
}, 30_000);
