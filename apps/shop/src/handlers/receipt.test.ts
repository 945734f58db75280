import { expect, test } from "bun:test";
import { fault } from "@outrider/event";
import type { HandlerContext } from "@outrider/inbox";
import type { OutboundRequest } from "@outrider/outbound";
import { orderCreated } from "../events.ts";
import { createReceipt } from "./receipt.ts";

const event = orderCreated.create(
  {
    orderId: "0192f0c1-7a3e-7b54-9c55-000000000001",
    ...{ customerId: "ann", currency: "EUR", totalMinor: 900, placedAt: "2026-11-20T10:00:00Z" },
    lines: [{ sku: "tea", quantity: 2, unitPriceMinor: 450 }],
  },
  { id: "0192f0c1-7a3e-7b54-9c55-000000000002", occurredAt: new Date(), sequence: 1 },
);

/** What the handler sends, and what it makes of a failure. */
const run = async (failure?: Error) => {
  const sent: [string, string, OutboundRequest][] = [];
  const send = async (service: string, url: URL, request: OutboundRequest) => {
    sent.push([service, url.href, request]);
    if (failure) throw failure;
    return { status: 201, headers: {}, body: Buffer.alloc(0) };
  };
  const { signal } = new AbortController();
  const handler = createReceipt({ url: "http://outside", outbound: { send } });
  const error = await handler.run([event], { signal } as HandlerContext).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return { sent, error, signal };
};

test("the receipt is asked for under the event's id, within the handler's time", async () => {
  const { sent, error, signal } = await run();
  expect(error).toBeUndefined();
  const { orderId } = event.data;
  const body = JSON.stringify({ orderId, customerId: "ann", currency: "EUR", totalMinor: 900 });
  const headers = { "content-type": "application/json", "idempotency-key": event.id };
  const request = { method: "POST", headers, body, signal };
  expect(sent).toEqual([["The receipts service", "http://outside/v1/receipts", request]]);
});

test("a failure reaches the retry policy as it is", async () => {
  const failure = fault("unavailable", "busy", { retryAfterMs: 7000 });
  expect((await run(failure)).error).toBe(failure);
});
