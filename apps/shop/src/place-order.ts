/** Places an order: its row and its event, in the transaction of the work. */

import { orderCreated } from "./events.ts";
import { orderOf, totalOf } from "./order.ts";
import type { NewOrder, Order } from "./order.ts";
import { orders } from "./tables.ts";
import type { ShopWork } from "./work.ts";

export const placeOrder = async (work: ShopWork, input: NewOrder): Promise<Order> => {
  const { tx, emit, now, newId, cause } = work;
  const occurredAt = now();
  const row = {
    ...input,
    id: newId(),
    status: "placed" as const,
    totalMinor: totalOf(input.lines),
    version: 1,
    placedAt: occurredAt,
    cancelledAt: null,
    cancelReason: null,
  };
  // Nobody else can see the row before the commit, which locks it as well as an update would.
  await tx.insert(orders).values(row);
  const { id: orderId, customerId, currency, lines, totalMinor } = row;
  const placedAt = occurredAt.toISOString();
  emit(
    orderCreated.create(
      { orderId, customerId, currency, lines, totalMinor, placedAt },
      { id: newId(), occurredAt, sequence: row.version, cause },
    ),
  );
  return orderOf(row);
};
