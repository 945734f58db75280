/**
 * What the shop tells the world. Money is in minor units of the currency, as integers; times are
 * RFC 3339 in UTC. An event's `sequence` is the order's version.
 * A schema here says what a reader may rely on; what a caller may send stands in routes/.
 */

import { defineEvent } from "@outrider/event";
import type { EventOf } from "@outrider/event";
import * as v from "valibot";

const minor = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const time = v.pipe(v.string(), v.isoTimestamp());
const name = v.pipe(v.string(), v.nonEmpty());

const line = v.object({
  sku: name,
  quantity: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  unitPriceMinor: minor,
});

const order = {
  orderId: v.pipe(v.string(), v.uuid()),
  customerId: name,
  currency: v.pipe(v.string(), v.regex(/^[A-Z]{3}$/)),
  totalMinor: minor,
  placedAt: time,
};

const ofOrders = {
  version: 1,
  source: "shop",
  category: "domain",
  topic: "order-events",
  key: (data: { orderId: string }) => data.orderId,
} as const;

export const orderCreated = defineEvent({
  ...ofOrders,
  type: "order.order.created",
  data: v.object({ ...order, lines: v.array(line) }),
});

export const orderCancelled = defineEvent({
  ...ofOrders,
  type: "order.order.cancelled",
  data: v.object({ ...order, reason: v.string(), cancelledAt: time }),
});

export type OrderCreated = EventOf<typeof orderCreated>;
export type OrderCancelled = EventOf<typeof orderCancelled>;
