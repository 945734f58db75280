import { expect, test } from "bun:test";
import type { Log } from "@outrider/event";
import { createReceipts } from "./receipts.ts";

const log: Log = {
  child: () => log,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};

const setUp = () =>
  createReceipts({
    log,
    newId: () => "id",
    checks: {},
    registry: { contentType: "text/plain", metrics: async () => "" },
    readAsset: async () => new Uint8Array(),
  });

const post = (app: ReturnType<typeof createReceipts>, key?: string) =>
  app.request("/v1/receipts", {
    method: "POST",
    headers: { "content-type": "application/json", ...(key && { "idempotency-key": key }) },
    body: JSON.stringify({ orderId: "1" }),
  });
const fail = (app: ReturnType<typeof createReceipts>, body: object) =>
  app.request("/v1/failures", { method: "PUT", body: JSON.stringify(body) });

test("one key is one receipt, however often it is asked for", async () => {
  const app = setUp();
  expect([(await post(app, "a")).status, (await post(app, "a")).status]).toEqual([201, 200]);
  const held = await (await app.request("/v1/receipts")).json();
  expect(held).toEqual({ requests: 2, receipts: [{ key: "a", body: { orderId: "1" } }] });
  expect((await post(app)).status).toBe(400);
});

test("what is no JSON is no receipt", async () => {
  const app = setUp();
  const headers = { "idempotency-key": "a" };
  const answer = await app.request("/v1/receipts", { method: "POST", headers, body: "{" });
  expect(await answer.json()).toMatchObject({ status: 400, detail: "The body is not JSON" });
  expect((await post(app, "a")).status).toBe(201);
});

test("it fails as often as it is told to, and in the way it is told to", async () => {
  const app = setUp();
  expect((await fail(app, { status: 503, count: 2, retryAfterS: 3 })).status).toBe(200);
  const first = await post(app, "a");
  expect([first.status, first.headers.get("retry-after")]).toEqual([503, "3"]);
  expect(await first.json()).toMatchObject({ type: "urn:outrider:problem:told_to_fail" });
  expect([(await post(app, "a")).status, (await post(app, "a")).status]).toEqual([503, 201]);
  await fail(app, { status: 302, count: 1 });
  const moved = await post(app, "a");
  expect([moved.status, moved.headers.get("location")]).toEqual([302, "/livez"]);
  for (const wrong of [{ status: 200, count: 1 }, { status: 503 }, { count: -1, status: 500 }]) {
    expect((await fail(app, wrong)).status).toBe(422);
  }
});
