import { expect, test } from "bun:test";
import type { Log } from "@outrider/event";
import * as v from "valibot";
import { createApi } from "./api.ts";
import type { Problem } from "./problem.ts";
import { fields, jsonBody, query } from "./validated.ts";

const log: Log = {
  child: () => log,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};

const setUp = () => {
  const app = createApi({ log, newId: () => "id" });
  const size = v.pipe(v.number("must be a number"), v.minValue(1, "is too small"), v.integer());
  const thing = fields({ "a/b": size, parts: v.array(fields({ size }), "must be a list") });
  app.post("/things", jsonBody(thing), (c) => c.json(c.req.valid("json")));
  app.get(
    "/things",
    query(v.object({ limit: v.optional(v.pipe(v.string(), v.digits("must be a digit"))) })),
    (c) => c.body(null),
  );
  return app;
};

const post = async (body: string, type: string | undefined = "application/json") => {
  const headers = type ? { "content-type": type } : undefined;
  const response = await setUp().request("/things", { method: "POST", body, headers });
  return { status: response.status, body: (await response.json()) as Problem };
};

test("a valid body comes through", async () => {
  expect(await post('{"a/b":1,"parts":[]}', "application/json; charset=utf-8")).toEqual({
    status: 200,
    body: expect.objectContaining({ "a/b": 1, parts: [] }),
  });
});

test("every wrong field has one entry with its pointer", async () => {
  const { status, body } = await post('{"a/b":0.5,"parts":[{"size":1},{"x":2}],"more":1}');
  expect(status).toBe(422);
  expect(body.detail).toBe("4 fields are not valid");
  expect(body.errors).toEqual([
    { pointer: "/a~1b", detail: "is too small" },
    { pointer: "/parts/1/size", detail: "is missing" },
    { pointer: "/parts/1/x", detail: "is not a known field" },
    { pointer: "/more", detail: "is not a known field" },
  ]);
});

test("a body that is no object is wrong at its root", async () => {
  expect((await post("[]")).body.errors).toEqual([
    { pointer: "/a~1b", detail: "is missing" },
    { pointer: "/parts", detail: "is missing" },
  ]);
  expect((await post("null")).body.errors).toEqual([{ pointer: "", detail: "must be an object" }]);
});

test("what is not JSON is malformed, what does not say so is not looked at", async () => {
  expect((await post("{")).status).toBe(400);
  expect((await post("")).status).toBe(400);
  for (const type of ["text/plain", "application/jsonx", ""]) {
    expect((await post("{}", type || "x")).status).toBe(415);
  }
});

test("a query is checked in the same way", async () => {
  const response = await setUp().request("/things?limit=x");
  expect(response.status).toBe(422);
  const { errors } = (await response.json()) as Problem;
  expect(errors).toEqual([{ pointer: "/limit", detail: "must be a digit" }]);
});
