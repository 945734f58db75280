/** One order as its customer sees it; a read model that nothing else writes. */

import { defineHandler } from "@outrider/inbox";
import type { HandlerContext } from "@outrider/inbox";
import { eq } from "drizzle-orm";
import { orderCancelled, orderCreated } from "../events.ts";
import type { OrderCancelled, OrderCreated } from "../events.ts";
import { orderSummaries } from "../tables.ts";

type Tx = HandlerContext["tx"];

export const orderSummary = defineHandler({
  name: "shop.order-summary",
  on: [orderCreated, orderCancelled],
  run: (event, { tx }) =>
    event.type === "order.order.created" ? summarise(tx, event) : cancel(tx, event),
});

// No ON CONFLICT: the inbox runs an event once, so a conflict is a defect that has to be seen.
const summarise = async (tx: Tx, { data, sequence }: OrderCreated): Promise<void> => {
  await tx.insert(orderSummaries).values({
    orderId: data.orderId,
    customerId: data.customerId,
    status: "placed",
    currency: data.currency,
    lineCount: data.lines.length,
    totalMinor: data.totalMinor,
    version: sequence ?? 1,
    placedAt: new Date(data.placedAt),
  });
};

const cancel = async (tx: Tx, { data, sequence }: OrderCancelled): Promise<void> => {
  const changed = await tx
    .update(orderSummaries)
    .set({
      status: "cancelled",
      version: sequence ?? 2,
      cancelledAt: new Date(data.cancelledAt),
      cancelReason: data.reason,
    })
    .where(eq(orderSummaries.orderId, data.orderId))
    .returning({ orderId: orderSummaries.orderId });
  if (changed.length === 0) throw new Error(`Order ${data.orderId} has no summary to cancel`);
};
