import { expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { Hono } from "hono";
import { idempotentRequest } from "./idempotency.ts";

type Body = string | Uint8Array<ArrayBuffer>;

const ask = async (key: string | undefined, body: Body = "{}", path = "/things") => {
  const app = new Hono();
  let found: Awaited<ReturnType<typeof idempotentRequest>>;
  app.post("/things/:id/parts/:part", async (c) => {
    const { id, part } = c.req.param();
    found = await idempotentRequest(c, { params: { id: id.toLowerCase(), part } });
    return c.body(null);
  });
  for (const route of ["/things", "/others"]) {
    app.post(route, async (c) => {
      found = await idempotentRequest(c);
      return c.body(null);
    });
  }
  let code: string | undefined;
  app.onError((error, c) => {
    if (isFault(error)) code = error.code;
    return c.body(null, 400);
  });
  const headers: Record<string, string> = key === undefined ? {} : { "idempotency-key": key };
  await app.request(path, { method: "POST", body, headers });
  return { found, code };
};

test("a key is taken with and without the draft's quotes", async () => {
  const quoted = await ask('"8e03978e-40d5"');
  expect(quoted.found).toMatchObject({ key: "8e03978e-40d5", scope: "POST /things anonymous" });
  expect((await ask("8e03978e-40d5")).found).toEqual(quoted.found);
});

test("a key that is empty, too long or not visible ASCII is malformed", async () => {
  for (const key of ["", '""', "a b", 'a"b', "ä", "x".repeat(256)]) {
    expect(await ask(key)).toEqual({ found: undefined, code: "malformed" });
  }
  expect((await ask("x".repeat(255))).found?.key).toHaveLength(255);
});

test("no header, no idempotency", async () => {
  expect(await ask(undefined)).toEqual({ found: undefined, code: undefined });
});

test("another body has another fingerprint, another path another scope", async () => {
  const { found } = await ask("k");
  expect(found?.fingerprint).toHaveLength(32);
  expect((await ask("k", "[]")).found?.fingerprint).not.toEqual(found?.fingerprint);
  expect((await ask("k", "{}", "/others")).found?.scope).not.toEqual(found?.scope);
});

test("bytes that decode to the same text are other bodies all the same", async () => {
  const bodies = [0x80, 0xff].map((byte) => Uint8Array.of(0x22, byte, 0x22));
  const [one, other] = await Promise.all(bodies.map((body) => ask("k", body)));
  expect(one?.found?.fingerprint).not.toEqual(other?.found?.fingerprint);
});

test("a resource has one scope, however its path is written, and no other one has it", async () => {
  const scopeOf = async (path: string) => (await ask("k", "{}", path)).found?.scope;
  const same = ["/things/ab/parts/x", "/things/AB/parts/x", "/things/%61%42/parts/%78"];
  for (const path of same) expect(await scopeOf(path)).toBe("POST /things/ab/parts/x anonymous");
  const others = ["/things/ab/parts/X", "/things/ab/parts/x%2fparts%2fx", "/things/ab%20/parts/x"];
  const scopes = await Promise.all([...same.slice(0, 1), ...others].map(scopeOf));
  expect(new Set(scopes).size).toBe(others.length + 1);
  const app = new Hono().post("/things/:id", async (c) => {
    await idempotentRequest(c);
    return c.body(null);
  });
  const sent = { method: "POST", headers: { "idempotency-key": "k" } };
  expect((await app.request("/things/1", sent)).status).toBe(500);
});
