import { describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { orderCancelled, orderCreated } from "../events.ts";
import type { OrderCancelled, OrderCreated } from "../events.ts";
import { sumChanges } from "./order-stats.ts";

type Order = Readonly<{
  customerId: string;
  currency: string;
  totalMinor: number;
  placedAt: string;
}>;

const created = (order: Order): OrderCreated =>
  orderCreated.create(
    { orderId: randomUUID(), lines: [], ...order },
    { id: randomUUID(), occurredAt: new Date(0), sequence: 1 },
  );

const cancelled = (order: Order): OrderCancelled =>
  orderCancelled.create(
    { orderId: randomUUID(), reason: "r", cancelledAt: "2030-01-01T00:00:00.000Z", ...order },
    { id: randomUUID(), occurredAt: new Date(0), sequence: 2 },
  );

const order: Order = {
  customerId: "c-1",
  currency: "EUR",
  totalMinor: 100,
  placedAt: "2026-01-02T03:04:05.678Z",
};

describe("what events change", () => {
  test("is an order and its revenue; a cancellation takes the revenue back", () => {
    const day = { customerId: "c-1", day: "2026-01-02", currency: "EUR" };
    expect(sumChanges([created(order)])).toEqual([
      { ...day, orders: 1, cancelled: 0, revenueMinor: 100n },
    ]);
    expect(sumChanges([cancelled(order)])).toEqual([
      { ...day, orders: 0, cancelled: 1, revenueMinor: -100n },
    ]);
    expect(sumChanges([created(order), created(order), cancelled(order)])).toEqual([
      { ...day, orders: 2, cancelled: 1, revenueMinor: 100n },
    ]);
  });

  test("counts for the UTC day of placing, also when it is cancelled later", () => {
    const late = { ...order, placedAt: "2026-01-02T23:30:00.000-05:00" };
    for (const event of [created(late), cancelled(late)]) {
      expect(sumChanges([event])[0]?.day).toBe("2026-01-03");
    }
  });

  test("is exact where numbers are not", () => {
    const large = { ...order, totalMinor: Number.MAX_SAFE_INTEGER };
    const [sum] = sumChanges(Array.from({ length: 3 }, () => created(large)));
    expect(sum?.revenueMinor).toBe(3n * 9_007_199_254_740_991n);
  });

  test("is nothing when nothing happened", () => {
    expect(sumChanges([])).toEqual([]);
  });

  // Few values, and awkward ones: separators must not make two rows one.
  const anyOrder: fc.Arbitrary<Order> = fc.record({
    customerId: fc.constantFrom("a", "b", "a,b", 'a","b', "ä", "a/2026-01-01"),
    currency: fc.constantFrom("EUR", "USD"),
    totalMinor: fc.integer({ min: 0, max: 1_000_000 }),
    placedAt: fc.constantFrom("2026-01-01T23:59:59.999Z", "2026-01-02T00:00:00.000Z"),
  });
  const anyEvent = fc
    .tuple(anyOrder, fc.boolean())
    .map(([one, isCreated]) => (isCreated ? created(one) : cancelled(one)));

  test("is the sum of what each of them changes, a row per customer, day and currency", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        const sums = sumChanges(events);
        const names = sums.map((one) => JSON.stringify([one.customerId, one.day, one.currency]));
        expect(new Set(names).size).toBe(sums.length);
        for (const sum of sums) {
          const mine = events.filter(
            ({ data }) =>
              data.customerId === sum.customerId &&
              data.currency === sum.currency &&
              data.placedAt.startsWith(sum.day),
          );
          const placed = mine.filter(({ type }) => type === "order.order.created");
          const undone = mine.filter(({ type }) => type === "order.order.cancelled");
          const total = (some: typeof mine) =>
            some.reduce((all, one) => all + one.data.totalMinor, 0);
          expect(sum).toMatchObject({
            orders: placed.length,
            cancelled: undone.length,
            revenueMinor: BigInt(total(placed) - total(undone)),
          });
        }
        const counted = sums.reduce((all, one) => all + one.orders + one.cancelled, 0);
        expect(counted).toBe(events.length);
      }),
    );
  });

  test("comes in one order, whatever the order of the events", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
        const names = (some: typeof events) =>
          sumChanges(some).map((one) => [one.customerId, one.day, one.currency]);
        expect(names(events.toReversed())).toEqual(names(events));
      }),
    );
  });
});
