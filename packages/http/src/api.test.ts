import { describe, expect, test } from "bun:test";
import { fault } from "@outrider/event";
import type { Log } from "@outrider/event";
import { createApi } from "./api.ts";
import type { ApiLimits } from "./api.ts";

const silent: Log = {
  child: () => silent,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};

const setUp = (limits?: ApiLimits) => {
  const lines: { level: string; fields: Record<string, unknown> }[] = [];
  const at = (level: string) => (fields: object) =>
    void lines.push({ level, fields: { ...fields } });
  const log: Log = {
    child: () => log,
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
  };
  const observed: unknown[] = [];
  const observe = (request: object) => void observed.push(request);
  const app = createApi({ log, newId: () => "made", observe }, limits);
  app.get("/things/:id", (c) => c.json(c.get("cause")));
  app.post("/things", async (c) => c.text(await c.req.text()));
  app.get("/livez", (c) => c.text("ok"));
  app.get("/fault", () => {
    throw fault("conflict", "Twice", { details: { secret: 1 }, cause: new Error("secret") });
  });
  app.get("/bug", () => {
    throw new Error("secret");
  });
  app.get("/our-fault", () => {
    throw fault("event_invalid", "secret", { problems: [{ pointer: "/x", detail: "secret" }] });
  });
  const late: unknown[] = [];
  app.get("/hangs", (c) => {
    c.get("late").addEventListener("abort", () => late.push(c.get("late").reason));
    return new Promise<Response>(() => {});
  });
  return { app, lines, observed, late };
};

describe("problems", () => {
  test("a fault is told as RFC 9457 says, without its details", async () => {
    const response = await setUp().app.request("/fault");
    expect(response.status).toBe(409);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toEqual({
      type: "urn:outrider:problem:conflict",
      title: "Conflict",
      status: 409,
      detail: "Twice",
      instance: "/fault",
      requestId: "made",
    });
  });

  test("a bug, or a fault that callers cannot help, is a 500 that says nothing", async () => {
    for (const path of ["/bug", "/our-fault"]) {
      const { app, lines } = setUp();
      const response = await app.request(path);
      expect(response.status).toBe(500);
      const text = await response.text();
      expect(text).not.toContain("secret");
      expect(JSON.parse(text).type).toBe("urn:outrider:problem:internal");
      const errors = lines.filter((line) => line.level === "error");
      expect(errors.map((line) => line.fields.requestId)).toEqual(["made"]);
    }
  });

  test("an unknown path is a 404, a wrong method a 405 that names the right ones", async () => {
    const { app } = setUp();
    expect((await app.request("/nowhere")).status).toBe(404);
    const response = await app.request("/things/1", { method: "DELETE" });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    expect((await app.request("/things", { method: "QUERY" })).headers.get("allow")).toBe("POST");
    expect((await app.request("/things/1", { method: "HEAD" })).status).toBe(200);
  });

  test("what takes too long is a 504, and hears of it", async () => {
    const { app, late } = setUp({ timeoutMs: 5 });
    const response = await app.request("/hangs");
    expect(response.status).toBe(504);
    expect(late).toMatchObject([{ code: "timeout" }]);
  });

  test("who is refused by a guard is not read", async () => {
    const guard = async () => {
      throw fault("unauthorized", "No");
    };
    const app = createApi({ log: silent, newId: () => "made", guard });
    app.post("/things", (c) => c.text("done"));
    let pulled = 0;
    const body = new ReadableStream({ pull: () => void (pulled += 1) }, { highWaterMark: 0 });
    expect((await app.request("/things", { method: "POST", body })).status).toBe(401);
    expect(pulled).toBe(0);
  });
});

describe("the body limit", () => {
  const limits = { bodyBytesMax: 10 };
  const post = (body: string | ReadableStream, headers: Record<string, string> = {}) =>
    setUp(limits).app.request("/things", { method: "POST", body, headers });

  test("holds for a declared length", async () => {
    expect((await post("1234567890", { "content-length": "10" })).status).toBe(200);
    expect((await post("12345678901", { "content-length": "11" })).status).toBe(413);
  });

  test("holds for chunks without a declared length, which are not read to the end", async () => {
    let pulled = 0;
    const endless = new ReadableStream({
      pull: (controller) => {
        pulled += 1;
        controller.enqueue(new Uint8Array(4));
      },
    });
    expect((await post(endless)).status).toBe(413);
    expect(pulled).toBeLessThan(10);
    const short = new ReadableStream({
      start: (controller) => {
        controller.enqueue(new TextEncoder().encode("12345"));
        controller.close();
      },
    });
    expect(await (await post(short)).text()).toBe("12345");
  });
});

describe("a request's identity", () => {
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

  test("comes from the caller, and is on the answer, in the cause and in the log", async () => {
    const { app, lines } = setUp();
    const headers = { "x-request-id": "theirs-1", traceparent };
    const response = await app.request("/things/1", { headers });
    expect(response.headers.get("x-request-id")).toBe("theirs-1");
    expect(await response.json()).toEqual({ headers: { correlationId: "theirs-1", traceparent } });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.fields).toMatchObject({
      requestId: "theirs-1",
      traceId: "0af7651916cd43dd8448eb211c80319c",
      method: "GET",
      path: "/things/1",
      status: 200,
    });
  });

  test("is ours when the caller's is malformed", async () => {
    for (const id of ["", "a b", "x".repeat(129), 'a"b']) {
      const headers = { "x-request-id": id, traceparent: "00-0-0-0" };
      const response = await setUp().app.request("/things/1", { headers });
      expect(response.headers.get("x-request-id")).toBe("made");
      expect(await response.json()).toEqual({ headers: { correlationId: "made" } });
    }
  });

  test("is on errors too", async () => {
    for (const path of ["/nowhere", "/bug"]) {
      const response = await setUp().app.request(path);
      expect(response.headers.get("x-request-id")).toBe("made");
    }
  });
});

test("answers are sniffed, framed and scripted by nobody", async () => {
  const { headers } = await setUp().app.request("/things/1");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("content-security-policy")).toContain("default-src 'none'");
});

test("requests are observed by route, and unknown paths under one name", async () => {
  const { app, observed } = setUp();
  await app.request("/things/1");
  await app.request("/nowhere/1");
  expect(observed).toMatchObject([
    { method: "GET", route: "/things/:id", status: 200 },
    { method: "GET", route: "/*", status: 404 },
  ]);
});

test("probes that succeed are logged at debug only", async () => {
  const { app, lines } = setUp();
  await app.request("/livez");
  expect(lines.map((line) => line.level)).toEqual(["debug"]);
});
