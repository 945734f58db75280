import { expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import type { FaultCode } from "@outrider/event";
import type { HandlerContext } from "@outrider/inbox";
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

/** What the handler does when the service answers so. */
const run = async (status: number, headers: Record<string, string> = {}) => {
  const requests: Request[] = [];
  const answer = async (url: string | URL | Request, init?: RequestInit) => {
    requests.push(new Request(String(url), init));
    return new Response(null, { status, headers });
  };
  const { signal } = new AbortController();
  const handler = createReceipt({ url: "http://outside", fetch: answer as typeof fetch });
  const error = await handler.run([event], { signal } as HandlerContext).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return { requests, error };
};

test("the receipt is asked for under the event's id", async () => {
  const { requests, error } = await run(201);
  expect(error).toBeUndefined();
  const [request] = requests as [Request];
  expect([request.method, request.url]).toEqual(["POST", "http://outside/v1/receipts"]);
  expect(request.headers.get("idempotency-key")).toBe(event.id);
  expect(await request.json()).toEqual({
    orderId: event.data.orderId,
    ...{ customerId: "ann", currency: "EUR", totalMinor: 900 },
  });
});

test("what the service answers decides whether it is asked again, and when", async () => {
  const codes: [number, FaultCode][] = [
    [503, "unavailable"],
    [429, "unavailable"],
    [422, "invalid"],
    [500, "internal"],
  ];
  for (const [status, code] of codes) {
    const { error } = await run(status);
    expect([status, isFault(error) && error.code]).toEqual([status, code]);
  }
  const { error } = await run(503, { "retry-after": "7" });
  expect(isFault(error) && error.retryAfterMs).toBe(7000);
});
