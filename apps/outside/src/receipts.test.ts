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
  const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
  for (const body of ["{", Uint8Array.of(0x22, 0xff, 0x22), '"\\ud800"', deep]) {
    const answer = await app.request("/v1/receipts", { method: "POST", headers, body });
    expect([answer.status, await answer.text()]).toEqual([400, "the body is no JSON\n"]);
  }
  expect((await post(app, "a")).status).toBe(201);
});

test("it fails as often as it is told to, and in the way it is told to", async () => {
  const app = createReceipts();
  expect((await fail(app, { status: 503, count: 2, retryAfterS: 3 })).status).toBe(200);
  const first = await post(app, "a");
  expect([first.status, first.headers.get("retry-after")]).toEqual([503, "3"]);
  expect([(await post(app, "a")).status, (await post(app, "a")).status]).toEqual([503, 201]);
  const wrong = [{ status: 200, count: 1 }, { status: 503 }, { count: -1, status: 500 }];
  const far = [1e300, 0.5, -1e300, 5e-324].flatMap((n) => [
    ...[
      { status: n, count: 1 },
      { status: 503, count: n },
    ],
    { status: 503, count: 1, retryAfterS: n },
  ]);
  const over = [{ count: 1_000_001 }, { retryAfterS: 86_401 }, { status: 600 }];
  for (const one of [...wrong, ...far, ...over.map((two) => ({ status: 503, count: 1, ...two }))]) {
    expect([one, (await fail(app, one)).status]).toEqual([one, 400]);
  }
  const most = { status: 599, count: 1_000_000, retryAfterS: 86_400 };
  expect((await fail(app, most)).status).toBe(200);
  expect((await post(app, "b")).headers.get("retry-after")).toBe("86400");
});
