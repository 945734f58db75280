/**
 * The customer's receipt, sent through a service outside. No transaction holds what that does, so
 * the event's id goes along as the idempotency key: sent twice, it is one receipt. A group of its
 * own, since the service may be slow, or away for hours, and the summaries must not wait for it.
 */

import { fault } from "@outrider/event";
import { defineHandler } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import { orderCreated } from "../events.ts";

export type ReceiptDeps = Readonly<{
  /** Of the service. */
  url: string;
  fetch: typeof fetch;
}>;

export const createReceipt = (deps: ReceiptDeps): Handler =>
  defineHandler({
    name: "shop.receipt",
    on: [orderCreated],
    group: "shop-receipts",
    effects: "external",
    concurrency: 4,
    timeoutMs: 5000,
    run: async ({ id, data }, { signal }) => {
      const { orderId, customerId, currency, totalMinor } = data;
      const answer = await deps.fetch(new URL("/v1/receipts", deps.url), {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": id },
        body: JSON.stringify({ orderId, customerId, currency, totalMinor }),
        signal,
      });
      if (!answer.ok) throw refusalOf(answer);
    },
  });

/** The service's own words for "later" and "never" are kept. */
const refusalOf = ({ status, headers }: Response): Error => {
  const message = `The receipts service answered ${status}`;
  const seconds = Number(headers.get("retry-after"));
  const retryAfterMs = seconds > 0 ? seconds * 1000 : undefined;
  if (status === 429 || status === 503) return fault("unavailable", message, { retryAfterMs });
  if (status === 400 || status === 422) return fault("invalid", message);
  return fault("internal", message);
};
