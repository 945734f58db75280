/** Cancels an order. Throws `not_found`, and `conflict` when it is cancelled already. */

import { fault } from "@outrider/event";
import { and, eq, sql } from "drizzle-orm";
import { orderCancelled } from "./events.ts";
import { orderOf } from "./order.ts";
import type { Order } from "./order.ts";
import { orders } from "./tables.ts";
import type { ShopWork } from "./work.ts";

export type Cancellation = Readonly<{ orderId: string; reason: string }>;

export const cancelOrder = async (work: ShopWork, input: Cancellation): Promise<Order> => {
  const { tx, emit, now, newId, cause } = work;
  const { orderId, reason } = input;
  const occurredAt = now();
  // One statement checks and changes, and its lock lets the event's position be drawn in order.
  const [row] = await tx
    .update(orders)
    .set({
      status: "cancelled",
      version: sql`${orders.version} + 1`,
      cancelledAt: occurredAt,
      cancelReason: reason,
    })
    .where(and(eq(orders.id, orderId), eq(orders.status, "placed")))
    .returning();
  if (!row) throw await whyNot(tx, orderId);
  const { customerId, currency, totalMinor } = row;
  const placedAt = row.placedAt.toISOString();
  const cancelledAt = occurredAt.toISOString();
  emit(
    orderCancelled.create(
      { orderId, customerId, currency, totalMinor, placedAt, reason, cancelledAt },
      { id: newId(), occurredAt, sequence: row.version, cause },
    ),
  );
  return orderOf(row);
};

const whyNot = async (tx: ShopWork["tx"], orderId: string) => {
  const [found] = await tx.select({ id: orders.id }).from(orders).where(eq(orders.id, orderId));
  return found
    ? fault("conflict", "The order is cancelled already")
    : fault("not_found", "There is no such order");
};
