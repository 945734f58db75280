/**
 * The customer's receipt, sent through a service outside. No transaction holds what that does, so
 * the event's id goes along as the idempotency key: sent twice, it is one receipt. A group of its
 * own, since the service may be slow, or away for hours, and the summaries must not wait for it.
 */

import { defineHandler } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import type { Outbound } from "@outrider/outbound";
import { orderCreated } from "../events.ts";

export type ReceiptDeps = Readonly<{
  /** Of the service. */
  url: string;
  outbound: Pick<Outbound, "send">;
}>;

/** The service's name in messages. */
export const service = "The receipts service";

export const createReceipt = ({ url, outbound }: ReceiptDeps): Handler =>
  defineHandler({
    name: "shop.receipt",
    on: [orderCreated],
    group: "shop-receipts",
    effects: "external",
    concurrency: 4,
    timeoutMs: 5000,
    run: async ({ id, data }, { signal }) => {
      const { orderId, customerId, currency, totalMinor } = data;
      await outbound.send(service, new URL("/v1/receipts", url), {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": id },
        body: JSON.stringify({ orderId, customerId, currency, totalMinor }),
        signal,
      });
    },
  });
