import { expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import { Hono } from "hono";
import { idempotentRequest } from "./idempotency.ts";

const ask = async (key: string | undefined, body = "{}", path = "/things") => {
  const app = new Hono();
  let found: Awaited<ReturnType<typeof idempotentRequest>>;
  app.post("/*", async (c) => {
    found = await idempotentRequest(c);
    return c.body(null);
  });
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
