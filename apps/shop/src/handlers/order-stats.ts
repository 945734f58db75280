/**
 * Orders and revenue per customer, UTC day of placing, and currency. Orders of many keys share its
 * rows, and batches of several partitions run side by side: so it adds in SQL, and in sorted
 * order, in which two transactions cannot deadlock.
 */

import { defineBatchHandler } from "@outrider/inbox";
import { sql } from "drizzle-orm";
import { orderCancelled, orderCreated } from "../events.ts";
import type { OrderCancelled, OrderCreated } from "../events.ts";
import { orderStats } from "../tables.ts";

type Change = typeof orderStats.$inferInsert;

export const orderStatsHandler = defineBatchHandler({
  name: "shop.order-stats",
  on: [orderCreated, orderCancelled],
  batchSizeMax: 500,
  run: async (events, { tx }) => {
    await tx
      .insert(orderStats)
      .values(sumChanges(events))
      .onConflictDoUpdate({
        target: [orderStats.customerId, orderStats.day, orderStats.currency],
        set: {
          orders: sql`${orderStats.orders} + excluded.orders`,
          cancelled: sql`${orderStats.cancelled} + excluded.cancelled`,
          revenueMinor: sql`${orderStats.revenueMinor} + excluded.revenue_minor`,
        },
      });
  },
});

/** What the events change, a row per customer, day and currency, sorted by these. */
export const sumChanges = (events: readonly (OrderCreated | OrderCancelled)[]): Change[] => {
  const changes = new Map<string, Change>();
  for (const event of events) {
    const change = changeOf(event);
    const name = JSON.stringify([change.customerId, change.day, change.currency]);
    const sum = changes.get(name);
    changes.set(name, sum ? add(sum, change) : change);
  }
  return [...changes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, change]) => change);
};

const changeOf = ({ type, data }: OrderCreated | OrderCancelled): Change => {
  const isCreated = type === "order.order.created";
  const total = BigInt(data.totalMinor);
  return {
    customerId: data.customerId,
    day: new Date(data.placedAt).toISOString().slice(0, 10),
    currency: data.currency,
    orders: isCreated ? 1 : 0,
    cancelled: isCreated ? 0 : 1,
    revenueMinor: isCreated ? total : -total,
  };
};

const add = (one: Change, other: Change): Change => ({
  ...one,
  orders: one.orders + other.orders,
  cancelled: one.cancelled + other.cancelled,
  revenueMinor: one.revenueMinor + other.revenueMinor,
});
