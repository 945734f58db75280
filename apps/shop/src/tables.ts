/**
 * The shop's tables, schema `shop`. `orders` is the write side; the other two are read models that
 * only the worker writes, from Kafka. Money is in minor units, times have milliseconds like the
 * events they come from.
 */

import { sql } from "drizzle-orm";
import * as pg from "drizzle-orm/pg-core";

export const shop = pg.pgSchema("shop");

const statuses = ["placed", "cancelled"] as const;
const status = () => pg.text("status", { enum: statuses }).notNull();
const time = (name: string) => pg.timestamp(name, { withTimezone: true, precision: 3 });

export type OrderLine = Readonly<{ sku: string; quantity: number; unitPriceMinor: number }>;

export const orders = shop.table(
  "orders",
  {
    id: pg.uuid("id").primaryKey(),
    customerId: pg.text("customer_id").notNull(),
    status: status(),
    currency: pg.text("currency").notNull(),
    lines: pg.jsonb("lines").$type<readonly OrderLine[]>().notNull(),
    totalMinor: pg.bigint("total_minor", { mode: "number" }).notNull(),
    /** Rises with every change; the sequence of the event that tells of it. */
    version: pg.integer("version").notNull(),
    placedAt: time("placed_at").notNull(),
    cancelledAt: time("cancelled_at"),
    cancelReason: pg.text("cancel_reason"),
  },
  () => [pg.check("orders_status", sql`"status" in ('placed', 'cancelled')`)],
);

/** One order as its customer sees it. */
export const orderSummaries = shop.table(
  "order_summaries",
  {
    orderId: pg.uuid("order_id").primaryKey(),
    customerId: pg.text("customer_id").notNull(),
    status: status(),
    currency: pg.text("currency").notNull(),
    lineCount: pg.integer("line_count").notNull(),
    totalMinor: pg.bigint("total_minor", { mode: "number" }).notNull(),
    version: pg.integer("version").notNull(),
    placedAt: time("placed_at").notNull(),
    cancelledAt: time("cancelled_at"),
    cancelReason: pg.text("cancel_reason"),
  },
  (table) => [
    pg.index("order_summaries_of_customer").on(table.customerId, table.placedAt, table.orderId),
    pg.check("order_summaries_status", sql`"status" in ('placed', 'cancelled')`),
  ],
);

/** Orders and revenue per customer, UTC day of placing, and currency. */
export const orderStats = shop.table(
  "order_stats",
  {
    customerId: pg.text("customer_id").notNull(),
    day: pg.date("day", { mode: "string" }).notNull(),
    currency: pg.text("currency").notNull(),
    orders: pg.integer("orders").notNull(),
    cancelled: pg.integer("cancelled").notNull(),
    /** Of the orders that were not cancelled. */
    revenueMinor: pg.bigint("revenue_minor", { mode: "bigint" }).notNull(),
  },
  (table) => [pg.primaryKey({ columns: [table.customerId, table.day, table.currency] })],
);
