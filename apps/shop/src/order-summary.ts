/** The read model of an order, which the worker writes: it follows the order within moments. */

import { about, invalid, named } from "@outrider/http";
import type { Database } from "@outrider/postgres";
import { and, desc, eq, sql } from "drizzle-orm";
import * as v from "valibot";
import { exampleFields, exampleOrderId, idForm, orderFields, whole } from "./order.ts";
import { orderSummaries } from "./tables.ts";

export const legalCursor = /^([0-9a-z]{1,9})_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;
export const exampleCursor = `ml23c8ow_${exampleOrderId}`;

const exampleSummary = { orderId: exampleOrderId, ...exampleFields, lineCount: 1 };

export const orderSummary = named(
  v.object({ orderId: idForm, ...orderFields, lineCount: about(whole, "How many lines it has") }),
  {
    name: "OrderSummary",
    description: "An order as its customer sees it: the worker has made it of the order's events.",
    examples: [exampleSummary],
  },
);

export type OrderSummary = v.InferOutput<typeof orderSummary>;

export const orderPage = named(
  v.object({
    items: about(v.array(orderSummary), "The newest first"),
    nextCursor: about(
      v.nullable(v.string()),
      "To be sent as `cursor` for what follows; null at the end",
    ),
  }),
  {
    name: "OrderPage",
    description: "Some of a customer's orders.",
    examples: [{ items: [exampleSummary], nextCursor: exampleCursor }],
  },
);

export type OrderPage = v.InferOutput<typeof orderPage>;

type Row = typeof orderSummaries.$inferSelect;

const summaryOf = (row: Row): OrderSummary => ({
  orderId: row.orderId,
  customerId: row.customerId,
  status: row.status,
  currency: row.currency,
  lineCount: row.lineCount,
  totalMinor: row.totalMinor,
  version: row.version,
  placedAt: row.placedAt.toISOString(),
  ...(row.cancelledAt && { cancelledAt: row.cancelledAt.toISOString() }),
  ...(row.cancelReason !== null && { cancelReason: row.cancelReason }),
});

export const findSummary = async (
  db: Database,
  orderId: string,
): Promise<OrderSummary | undefined> => {
  const [row] = await db.select().from(orderSummaries).where(eq(orderSummaries.orderId, orderId));
  return row && summaryOf(row);
};

export type PageQuery = Readonly<{ customerId: string; limit: number; cursor?: string }>;

/** A customer's orders, newest first. Throws `invalid` for a cursor that is none of ours. */
export const listOrders = async (db: Database, page: PageQuery): Promise<OrderPage> => {
  const { customerId, placedAt, orderId } = orderSummaries;
  const after = page.cursor === undefined ? undefined : positionOf(page.cursor);
  const rows = await db
    .select()
    .from(orderSummaries)
    .where(
      and(
        eq(customerId, page.customerId),
        after &&
          sql`(${placedAt}, ${orderId}) < (${after.placedAt}::timestamptz, ${after.orderId})`,
      ),
    )
    .orderBy(desc(placedAt), desc(orderId))
    // One more tells whether there is a next page.
    .limit(page.limit + 1);
  const items = rows.slice(0, page.limit);
  const last = items.at(-1);
  return {
    items: items.map(summaryOf),
    nextCursor: last && rows.length > page.limit ? cursorAfter(last) : null,
  };
};

/** A cursor is the last row's place in the order: milliseconds in base 36, and the order's id. */
const cursorAfter = (row: Row): string => `${row.placedAt.getTime().toString(36)}_${row.orderId}`;

const positionOf = (cursor: string) => {
  const [, ms = "", orderId = ""] = legalCursor.exec(cursor) ?? [];
  if (orderId === "") throw invalid([{ pointer: "/cursor", detail: "is not a cursor of ours" }]);
  return { placedAt: new Date(Number.parseInt(ms, 36)).toISOString(), orderId };
};
