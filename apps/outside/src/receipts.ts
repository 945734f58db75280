/**
 * Stands for a service that belongs to somebody else: it sends receipts, and fails when it is told
 * to. What it holds lives as long as its process.
 */

import { readJson } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";

const failing = v.strictObject({
  /** Status of the next answers. */
  status: v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(599)),
  /** How many of them. */
  count: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(1_000_000)),
  /** In their Retry-After. */
  retryAfterS: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(86_400))),
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
      const headers = retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) };
      return new Response("told to fail\n", { status: fails.status, headers });
    }
    const key = c.req.header("idempotency-key");
    if (!key) return c.text("an idempotency key is missing\n", 400);
    const body = await readJson(c.req).catch(() => undefined);
    if (body === undefined) return c.text("the body is no JSON\n", 400);
    const isNew = !receipts.has(key);
    if (isNew) receipts.set(key, body);
    return c.json({ sent: isNew }, isNew ? 201 : 200);
  });

  app.get("/v1/receipts", (c) =>
    c.json({ requests, receipts: [...receipts].map(([key, body]) => ({ key, body })) }),
  );

  app.put("/v1/failures", async (c) => {
    const parsed = v.safeParse(failing, await readJson(c.req).catch(() => undefined));
    if (!parsed.success) return c.json({ problems: parsed.issues.map((one) => one.message) }, 400);
    fails = parsed.output;
    return c.json(fails);
  });

  return app;
};
