import { expect, test } from "bun:test";
import { createReceipts } from "./receipts.ts";

const post = (app: ReturnType<typeof createReceipts>, key?: string) =>
  app.request("/v1/receipts", {
    method: "POST",
    headers: { "content-type": "application/json", ...(key && { "idempotency-key": key }) },
    body: JSON.stringify({ orderId: "1" }),
  });
const fail = (app: ReturnType<typeof createReceipts>, body: object) =>
  app.request("/v1/failures", { method: "PUT", body: JSON.stringify(body) });

test("one key is one receipt, however often it is asked for", async () => {
  const app = createReceipts();
  expect([(await post(app, "a")).status, (await post(app, "a")).status]).toEqual([201, 200]);
  const held = await (await app.request("/v1/receipts")).json();
  expect(held).toEqual({ requests: 2, receipts: [{ key: "a", body: { orderId: "1" } }] });
  expect((await post(app)).status).toBe(400);
});

test("what is no JSON is no receipt", async () => {
  const app = createReceipts();
  const headers = { "idempotency-key": "a" };
  const answer = await app.request("/v1/receipts", { method: "POST", headers, body: "{" });
  expect([answer.status, await answer.text()]).toEqual([400, "the body is no JSON\n"]);
  expect((await post(app, "a")).status).toBe(201);
});

test("it fails as often as it is told to, and in the way it is told to", async () => {
  const app = createReceipts();
  expect((await fail(app, { status: 503, count: 2, retryAfterS: 3 })).status).toBe(200);
  const first = await post(app, "a");
  expect([first.status, first.headers.get("retry-after")]).toEqual([503, "3"]);
  expect([(await post(app, "a")).status, (await post(app, "a")).status]).toEqual([503, 201]);
  await fail(app, { status: 302, count: 1 });
  const moved = await post(app, "a");
  expect([moved.status, moved.headers.get("location")]).toEqual([302, "/livez"]);
  for (const wrong of [{ status: 200, count: 1 }, { status: 503 }, { count: -1, status: 500 }]) {
    expect((await fail(app, wrong)).status).toBe(400);
  }
});
