/**
 * Stands for a service that belongs to somebody else: it sends receipts, and fails when it is told
 * to. What it holds lives as long as its process.
 */

import { Hono } from "hono";
import * as v from "valibot";

const failing = v.strictObject({
  /** Status of the next answers; 3xx leads to a page that answers 200. */
  status: v.pipe(v.number(), v.integer(), v.minValue(300), v.maxValue(599)),
  /** How many of them. */
  count: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** In their Retry-After, which is absent without it. */
  retryAfterS: v.optional(v.pipe(v.number(), v.minValue(0))),
});

type Failing = v.InferOutput<typeof failing>;

export const createReceipts = (): Hono => {
  const receipts = new Map<string, unknown>();
  let fails: Failing = { status: 503, count: 0 };
  let requests = 0;
  const app = new Hono();

  app.post("/v1/receipts", async (c) => {
    requests += 1;
    if (fails.count > 0) {
      fails = { ...fails, count: fails.count - 1 };
      const { retryAfterS } = fails;
      const isRedirect = fails.status < 400;
      const headers = {
        ...(retryAfterS !== undefined && { "retry-after": String(retryAfterS) }),
        ...(isRedirect && { location: "/livez" }),
      };
      const body = isRedirect ? null : "told to fail\n";
      return new Response(body, { status: fails.status, headers });
    }
    const key = c.req.header("idempotency-key");
    if (!key) return c.text("an idempotency key is missing\n", 400);
    const body: unknown = await c.req.json().catch(() => undefined);
    if (body === undefined) return c.text("the body is no JSON\n", 400);
    const isNew = !receipts.has(key);
    if (isNew) receipts.set(key, body);
    return c.json({ sent: isNew }, isNew ? 201 : 200);
  });

  app.get("/v1/receipts", (c) =>
    c.json({ requests, receipts: [...receipts].map(([key, body]) => ({ key, body })) }),
  );

  app.put("/v1/failures", async (c) => {
    const parsed = v.safeParse(failing, await c.req.json().catch(() => undefined));
    if (!parsed.success) return c.json({ problems: parsed.issues.map((one) => one.message) }, 400);
    fails = parsed.output;
    return c.json(fails);
  });

  return app;
};
