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
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  for (const body of ["{", Uint8Array.of(0x22, 0xff, 0x22), '"\\ud800"', deep]) {
    const answer = await app.request("/v1/receipts", { method: "POST", headers, body });
    expect([answer.status, await answer.json()]).toMatchObject([400, { status: 400 }]);
  }
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
    expect([one, (await fail(app, one)).status]).toEqual([one, 422]);
  }
  const most = { status: 599, count: 1_000_000, retryAfterS: 86_400 };
  expect((await fail(app, most)).status).toBe(200);
  expect((await post(app, "b")).headers.get("retry-after")).toBe("86400");
});
