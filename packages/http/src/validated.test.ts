import { describe, expect, test } from "bun:test";
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

const post = async (
  body: string | Uint8Array<ArrayBuffer>,
  type: string | undefined = "application/json",
) => {
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

describe("a body that nobody could store as it was sent", () => {
  const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
  const odd: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>> = {
    "a byte that is no UTF-8": bytes('{"a/b":1,"parts":[],"x":"\xff"}'),
    "a character that is cut off": bytes('{"a/b":1,"parts":[],"x":"\xe2\x82"}'),
    "half of a pair in three bytes": bytes('{"x":"\xed\xa0\x80"}'),
    "UTF-16": bytes("\xff\xfe{\0}\0"),
    "half of a pair in an escape": '{"x":"\\ud800"}',
    "the other half": '{"x":["\\uDC00 \\ud83d\\ude00"]}',
    "half of a pair in a name": '{"a":{"\\udfff":1}}',
    "more levels than anybody has": `${"[".repeat(1002)}${"]".repeat(1002)}`,
    "as many levels as there is room for": `${"[".repeat(32_000)}${"]".repeat(32_000)}`,
  };
  for (const [what, body] of Object.entries(odd)) {
    test(`is malformed: ${what}`, async () => {
      expect(await post(body)).toMatchObject({
        status: 400,
        body: { type: "urn:outrider:problem:malformed" },
      });
    });
  }

  test("is told from one that only looks like it", async () => {
    const whole = ['{"x":"\\ud83d\\ude00"}', '{"x":"\\\\ud800"}', '{"x":"\\u0000"}', '"\ufffd"'];
    for (const body of [...whole, `${"[".repeat(1001)}${"]".repeat(1001)}`]) {
      expect([body.slice(0, 20), (await post(body)).status]).toEqual([body.slice(0, 20), 422]);
    }
  });

  test("is not one with a byte order mark, which is passed over", async () => {
    expect((await post(bytes('\xef\xbb\xbf{"a/b":1,"parts":[]}'))).status).toBe(200);
  });
});

test("a query is checked in the same way", async () => {
  const response = await setUp().request("/things?limit=x");
  expect(response.status).toBe(422);
  const { errors } = (await response.json()) as Problem;
  expect(errors).toEqual([{ pointer: "/limit", detail: "must be a digit" }]);
});
