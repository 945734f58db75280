/** The read models as the events say, worked out plainly and apart from the handlers. */

import type { KafkaRecord } from "@outrider/event";
import { headerTexts } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { Rows } from "../checker/check-effects.ts";

type OrderData = Readonly<{
  orderId: string;
  customerId: string;
  currency: string;
  totalMinor: number;
  placedAt: string;
  lines?: readonly unknown[];
  reason?: string;
}>;

/** Each event once, however often it is in the log. */
const eventsOf = (log: readonly KafkaRecord[]): { type: string; data: OrderData }[] => {
  const events = new Map<string, { type: string; data: OrderData }>();
  for (const record of log) {
    const { ce_id: id = "", ce_type: type = "" } = headerTexts(record.headers);
    const data = JSON.parse(Buffer.from(record.value ?? []).toString()) as OrderData;
    if (!events.has(id)) events.set(id, { type, data });
  }
  return [...events.values()];
};

export const expectedSummaries = (log: readonly KafkaRecord[]): Rows => {
  const rows = new Map<string, unknown>();
  const events = eventsOf(log);
  const cancelled = new Map(
    events
      .filter((event) => event.type === "order.order.cancelled")
      .map((event) => [event.data.orderId, event.data]),
  );
  for (const { type, data } of events) {
    if (type !== "order.order.created") continue;
    const { orderId, customerId, currency, totalMinor, lines = [] } = data;
    const end = cancelled.get(orderId);
    const [status, version, reason] = end ? ["cancelled", 2, end.reason] : ["placed", 1, null];
    rows.set(orderId, [customerId, currency, totalMinor, lines.length, status, version, reason]);
  }
  return rows;
};

export const expectedStats = (log: readonly KafkaRecord[]): Rows => {
  const rows = new Map<string, [orders: number, cancelled: number, revenueMinor: number]>();
  for (const { type, data } of eventsOf(log)) {
    const name = [data.customerId, data.placedAt.slice(0, 10), data.currency].join(" ");
    const row = rows.get(name) ?? [0, 0, 0];
    const isCreated = type === "order.order.created";
    row[isCreated ? 0 : 1] += 1;
    row[2] += isCreated ? data.totalMinor : -data.totalMinor;
    rows.set(name, row);
  }
  return rows;
};

export const readSummaries = async (sql: Sql): Promise<Rows> => {
  const rows = await sql`
    select order_id, customer_id, currency, total_minor::int as total, line_count, status, version,
      cancel_reason
    from shop.order_summaries`;
  return new Map(
    rows.map((row) => [
      row.order_id,
      [
        row.customer_id,
        row.currency,
        row.total,
        row.line_count,
        row.status,
        row.version,
        row.cancel_reason,
      ],
    ]),
  );
};

export const readStats = async (sql: Sql): Promise<Rows> => {
  const rows = await sql`
    select customer_id, day::text, currency, orders, cancelled, revenue_minor::int as revenue
    from shop.order_stats`;
  return new Map(
    rows.map((row) => [
      [row.customer_id, row.day, row.currency].join(" "),
      [row.orders, row.cancelled, row.revenue],
    ]),
  );
};
