/** Lists that stay open, over server-sent events. On real Postgres. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { operationsOf } from "../support/answer-check.ts";
import { fillOperations } from "../support/fill-operations.ts";
import { createOwnOperations } from "../support/operations.ts";
import type { OwnOperations } from "../support/operations.ts";

let api: OwnOperations;
const stopping = new AbortController();

beforeAll(async () => {
  const limits = { livePollMs: 20, liveIdleMs: 200, liveMax: 3, liveKeyMax: 2 };
  api = await createOwnOperations({ limits, stopping: stopping.signal });
  await fillOperations(api.sql, { parked: 3, letters: 3, inbox: 10 });
});

afterAll(async () => {
  await api?.close();
});

type Told = Readonly<{ event: string; data: string }>;

/** What is told, one after the other; comments are told as such. */
const open = async (path: string, key?: string) => {
  const headers = { accept: "text/event-stream" };
  const response = await api.get(path, { headers, ...(key !== undefined && { key }) });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  const next = async (): Promise<Told | undefined> => {
    for (;;) {
      const end = rest.indexOf("\n\n");
      if (end >= 0) {
        const block = rest.slice(0, end);
        rest = rest.slice(end + 2);
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1] ?? "";
        return block.startsWith(":")
          ? { event: "comment", data: block }
          : { event: field("event"), data: field("data") };
      }
      const some = await reader?.read();
      if (!some || some.done) return undefined;
      rest += some.value;
    }
  };
  return { response, next, close: async () => reader?.cancel() };
};

const until = async (next: () => Promise<Told | undefined>, event: string): Promise<Told> => {
  for (;;) {
    const told = await next();
    if (!told) throw new Error(`it ended before ${event}`);
    if (told.event === event) return told;
  }
};

test("a list tells itself at once, and again when it has changed, with its filters", async () => {
  const live = await open("/v1/dead-letters?state=open&limit=10");
  expect(live.response.headers.get("content-type")).toStartWith("text/event-stream");
  const before = JSON.parse((await until(live.next, "dead-letters")).data) as { items: object[] };
  expect(before.items.length).toBe(3);
  const [letter] = before.items as { id: number }[];
  expect((await until(live.next, "comment")).data).toBe(": still here");
  await api.post(`/v1/dead-letters/${letter?.id}/note`, { reason: "no change of the list" });
  await api.post(`/v1/dead-letters/${letter?.id}/discard`, { reason: "a test" });
  const after = JSON.parse((await until(live.next, "dead-letters")).data) as { items: object[] };
  expect(after.items.length).toBe(2);
  await live.close();
});

test("it ends when its key is revoked", async () => {
  const made = await api.post("/v1/keys", { name: "live", scopes: ["events:read"] });
  const { id, key } = (await made.json()) as { id: number; key: string };
  const live = await open("/v1/parked", key);
  await until(live.next, "parked");
  await api.post(`/v1/keys/${id}/revoke`);
  expect(JSON.parse((await until(live.next, "problem")).data)).toMatchObject({
    code: "unauthorized",
  });
  expect(await live.next()).toBeUndefined();
});

test("what would be refused is refused, and no more are opened than there may be", async () => {
  const headers = { accept: "text/event-stream" };
  expect((await api.get("/v1/parked?state=odd", { headers })).status).toBe(422);
  expect((await api.get("/v1/parked/999", { headers })).status).toBe(404);
  expect((await api.get("/v1/parked", { headers, key: null })).status).toBe(401);
  const [other, third] = [await api.keyWith("admin"), await api.keyWith("admin")];
  const lives = [await open("/v1/parked"), await open("/v1/handlers")];
  const refused = await api.get("/v1/outbox", { headers });
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "5"]);
  expect(await refused.json()).toMatchObject({ detail: expect.stringContaining("has 2 live") });
  // One key does not take what there is for all.
  lives.push(await open("/v1/outbox", other));
  expect(lives.map(({ response }) => response.status)).toEqual([200, 200, 200]);
  expect((await api.get("/v1/outbox", { headers, key: third })).status).toBe(429);
  for (const live of lives) await live.close();
  // Whoever has gone makes room.
  for (let status = 429; status === 429;) {
    const again = await open("/v1/outbox");
    status = again.response.status;
    await again.close();
  }
});

test("every route that may stay open does", async () => {
  const lists = operationsOf(api.document).filter(({ method }) => method === "GET");
  const failed: string[] = [];
  for (const { path, operation } of lists) {
    if (!operation.responses[200]?.content?.["text/event-stream"]) continue;
    const live = await open(path.replaceAll(/\{\w+\}/g, "999"));
    // There is no Redis here.
    const isRight = [200, 404, 429].includes(live.response.status) || path.endsWith("retry-queue");
    if (!isRight) failed.push(`${path} ${live.response.status}`);
    await live.close();
  }
  expect(failed).toEqual([]);
});

test("they end when the process is to stop", async () => {
  const live = await open("/v1/parked");
  await until(live.next, "parked");
  stopping.abort();
  expect(await live.next()).toBeUndefined();
});
