/** Ways around the key of the operations API, over a socket, as no client would write them. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { createOwnOperations } from "../support/operations.ts";
import type { OwnOperations } from "../support/operations.ts";
import { until } from "../support/until.ts";

let api: OwnOperations;
let server: Bun.Server<undefined>;
let reader: string;

beforeAll(async () => {
  api = await createOwnOperations();
  server = Bun.serve({ port: 0, idleTimeout: 5, fetch: api.answer });
  reader = await api.keyWith("events:read");
});

afterAll(async () => {
  await server?.stop(true);
  await api?.close();
});

type Sent = Readonly<{ headers?: readonly string[]; body?: string }>;

/** The status, or what the server has done in place of an answer. */
const ask = async (line: string, { headers = [], body = "" }: Sent = {}) => {
  const socket = connect(server.port ?? 0, "127.0.0.1");
  const lines = [`${line} HTTP/1.1`, "Host: ops", "Connection: close", ...headers];
  socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`);
  const answer = await text(socket);
  const [, status = "none"] = /^HTTP\/1\.1 (\d{3})/.exec(answer) ?? [];
  return { status: status === "none" ? status : Number(status), answer };
};

const methods = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"];

const paths = [
  ...["/v1/keys", "//v1/keys", "/v1//keys", "/v1/keys/", "/V1/KEYS", "/%76%31/keys", "/v1%2fkeys"],
  ...["/livez/../v1/keys", "/livez/..;/v1/keys", "/livez/%2e%2e/v1/keys", "/livez\\..\\v1/keys"],
  ...[
    "/metrics",
    "/metrics/",
    "//metrics",
    "/%6detrics",
    "/METRICS",
    "/metrics?livez",
    "/metrics;",
  ],
  ...["/livez/../metrics", "/readyz/../metrics", "/./metrics", "/metrics%00", "/metrics#/livez"],
  ...["/docs", "/openapi.json", "/openapi.json/", "/queues", "/queues/api/queues", "/"],
  ...["http://livez/v1/keys", "http://ops/metrics", "/livez/", "/livez/x", "/readyz%20", "*", "?"],
];

describe("without a key", () => {
  test("nothing but health is answered, however the path is written", async () => {
    const open: string[] = [];
    for (const method of methods) {
      for (const path of paths) {
        const { status, answer } = await ask(`${method} ${path}`);
        // What is no request at all is refused by the server itself, or cut.
        const isRefused = status === 401 || status === 400 || status === "none";
        if (!isRefused) open.push(`${method} ${path}: ${answer.slice(0, 100)}`);
      }
    }
    expect(open).toEqual([]);
    expect((await ask("GET /livez?/v1/keys")).answer).toEndWith("\r\n\r\nok\n");
    for (const method of methods.filter((one) => one !== "GET" && one !== "HEAD")) {
      expect([method, (await ask(`${method} /livez`)).status]).toEqual([method, 401]);
    }
    const own = api.lines.filter(({ level }) => level === "error");
    expect(own).toEqual([]);
  });

  test("not a byte of a body is waited for", async () => {
    const form = ["Content-Type: application/json"];
    const chunked = [...form, "Transfer-Encoding: chunked"];
    const begun = { headers: chunked, body: "5\r\nabcde\r\n" };
    expect((await ask("POST /v1/keys", begun)).status).toBe(401);
    expect((await ask("POST /livez", begun)).status).toBe(401);
    const promised = { headers: [...form, "Content-Length: 2000000"], body: "{" };
    expect((await ask("POST /v1/parked/bulk", promised)).status).toBe(401);
  });

  test("no other protocol is spoken", async () => {
    const upgrade = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Connection: Upgrade"];
    const headers = [...upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    expect((await ask("GET /v1/keys", { headers })).status).toBe(401);
  });

  test("a key elsewhere than in its header, or a second one, opens nothing", async () => {
    const sent = [
      [`X-Authorization: Bearer ${reader}`],
      [`Cookie: authorization=Bearer%20${reader}`],
      [`Authorization: Bearer ${reader} ${reader}`],
      [`Authorization: Bearer ${reader}`, "Authorization: Bearer ork_1_no"],
      [`Authorization: Token ${reader}`],
      [`Authorization: Bearer ork_0${reader.slice(4)}`],
    ];
    for (const headers of sent) {
      expect([headers, (await ask("GET /v1/parked", { headers })).status]).toEqual([headers, 401]);
    }
    expect((await ask(`GET /v1/parked?key=${reader}&authorization=${reader}`)).status).toBe(401);
  });
});

describe("with a key that may look", () => {
  const headers = () => [`Authorization: Bearer ${reader}`];

  test("what needs more is refused, whatever the request says of its method", async () => {
    for (const path of ["/v1/keys", "/v1/audit"]) {
      for (const more of [[], ["Accept: text/event-stream"]]) {
        for (const method of ["GET", "HEAD"]) {
          const { status } = await ask(`${method} ${path}`, { headers: [...headers(), ...more] });
          expect([method, path, more, status]).toEqual([method, path, more, 403]);
        }
      }
    }
    const as = ["X-HTTP-Method-Override: POST", "X-Method-Override: POST"];
    const bulk = await ask("GET /v1/parked/bulk", { headers: [...headers(), ...as] });
    expect([bulk.status, bulk.answer.includes("\r\nallow: POST\r\n")]).toEqual([405, true]);
    const body = "{}";
    const form = ["Content-Type: application/json", `Content-Length: ${body.length}`];
    for (const path of ["/v1/parked/bulk", "/v1/dead-letters/bulk", "/v1/redrives", "/v1/keys"]) {
      const { status } = await ask(`POST ${path}`, { headers: [...headers(), ...form], body });
      expect([path, status]).toEqual([path, 403]);
    }
  });

  test("what is larger than a server reads is refused before the app, without a body", async () => {
    const large = await ask(`GET /v1/parked?key=${"x".repeat(20_000)}`, { headers: headers() });
    expect(large.status).toBe(431);
    expect(large.answer).toEndWith("\r\n\r\n");
  });

  test("a body is refused at its limit, whether it says its length or not", async () => {
    const writer = await api.keyWith("parked:write");
    const mine = [`Authorization: Bearer ${writer}`, "Content-Type: application/json"];
    const chunk = `10000\r\n${"x".repeat(0x10000)}\r\n`;
    const endless = { headers: [...mine, "Transfer-Encoding: chunked"], body: chunk.repeat(40) };
    expect((await ask("POST /v1/parked/bulk", endless)).status).toBe(413);
    const large = [...mine, "Content-Length: 3000000"];
    expect((await ask("POST /v1/parked/bulk", { headers: large, body: "{" })).status).toBe(413);
  });
});

/** Of Bun 1.4.5. Where it fails, Bun has mended it: take it away, and the section of the docs. */
test("a request amid another one of its connection cuts it: neither is answered", async () => {
  const seen: string[] = [];
  const first = Promise.withResolvers<void>();
  const one = Bun.serve({
    port: 0,
    fetch: async (request) => {
      seen.push(new URL(request.url).pathname);
      await first.promise;
      return new Response("answered");
    },
  });
  try {
    const socket = connect(one.port ?? 0, "127.0.0.1");
    let [answer, isCut] = ["", false];
    socket.on("data", (some) => (answer += String(some))).on("close", () => (isCut = true));
    socket.write("GET /first HTTP/1.1\r\nHost: ops\r\n\r\n");
    await until(() => seen.length > 0, { what: "the first request" });
    socket.write("GET /second HTTP/1.1\r\nHost: ops\r\n\r\n");
    const what =
      "the cut: Bun may have mended it. Remove this test and `Pipelined requests` of docs";
    await until(() => isCut, { what, timeoutMs: 5000 });
    first.resolve();
    expect({ seen, answer }).toEqual({ seen: ["/first"], answer: "" });
  } finally {
    first.resolve();
    await one.stop(true);
  }
});
