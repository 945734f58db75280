/**
 * Requests to services of others, against a real server; the same suite on Node and on Bun, since
 * the guard rests on a hook of the runtime's.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo, LookupFunction } from "node:net";
import { after, before, describe, test } from "node:test";
import { isFault } from "@outrider/event";
import type { Fault, FaultCode } from "@outrider/event";
import { createOutbound } from "@outrider/outbound";
import type { OutboundSettings } from "@outrider/outbound";

const service = "The service";
const quickMs = 150;

/** What the server was asked, by method and path. */
const asked: string[] = [];
const answers: Readonly<Record<string, RequestListener>> = {
  "/well": (request, response) => {
    const told = { type: request.headers["content-type"], host: request.headers.host };
    request.on("data", (chunk) => response.end(JSON.stringify({ ...told, body: String(chunk) })));
  },
  "/moved": (_, response) => response.writeHead(302, { location: "/well" }).end(),
  "/later": (_, response) => response.writeHead(503, { "retry-after": "7" }).end("busy"),
  "/never": (_, response) => response.writeHead(422).end(),
  "/silent": () => {},
  "/half": (_, response) => response.write("half"),
  "/large": (_, response) => response.end("x".repeat(2000)),
  "/endless": (_, response) => {
    const timer = setInterval(() => response.write("x".repeat(100_000)), 1);
    response.on("close", () => clearInterval(timer));
  },
};
const server = createServer((request, response) => {
  const path = request.url ?? "";
  asked.push(`${request.method} ${path}`);
  answers[path]?.(request, response);
});
let port = 0;

/** Answers each look-up with the next of these, and the last one for ever. */
const lookupOf = (...turns: readonly (readonly string[])[]) => {
  const looks: string[] = [];
  const lookup: LookupFunction = (hostname, _options, callback) => {
    const found = turns[Math.min(looks.length, turns.length - 1)] ?? [];
    looks.push(hostname);
    callback(
      null,
      found.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
  };
  return { lookup, looks };
};

const loopback = ["127.0.0.1"];
const named = (path: string) => new URL(`http://service.test:${port}${path}`);

const open = (settings: Partial<OutboundSettings> = {}, lookup = lookupOf(loopback).lookup) =>
  createOutbound({ allowedOrigins: [named("/").origin], ...settings }, { lookup });

const post = (path: string, outbound = open(), signal?: AbortSignal) =>
  outbound.send(service, named(path), {
    ...{ method: "POST", body: "{}", headers: { "content-type": "application/json" } },
    ...(signal && { signal }),
  });

const refusal = async (sent: Promise<unknown>, code: FaultCode): Promise<Fault> => {
  const error = await sent.then(
    () => undefined,
    (caught: unknown) => caught,
  );
  assert.ok(isFault(error, code), `not ${code}: ${String(error)}`);
  return error;
};

/** How many requests the server had while this ran. */
const requestsOf = async (work: () => Promise<unknown>): Promise<number> => {
  const askedBefore = asked.length;
  await work();
  return asked.length - askedBefore;
};

export const describeOutbound = (runtime: string): void => {
  describe(`requests to others, on ${runtime}`, () => {
    before(async () => {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      ({ port } = server.address() as AddressInfo);
    });
    after(() => {
      server.closeAllConnections();
      server.close();
    });

    test("bring the answer to what was sent, under the name that was asked for", async () => {
      const { status, body } = await post("/well");
      const told = { type: "application/json", host: `service.test:${port}`, body: "{}" };
      assert.deepEqual([status, JSON.parse(String(body))], [200, told]);
    });

    test("follow no redirect: it is a failure, and nothing else is asked", async () => {
      const count = await requestsOf(() => refusal(post("/moved"), "internal"));
      assert.deepEqual([count, asked.at(-1)], [1, "POST /moved"]);
    });

    test("fail as the service says: later, with its time, or never", async () => {
      const later = await refusal(post("/later"), "unavailable");
      assert.deepEqual([later.message, later.retryAfterMs], [`${service} answered 503`, 7000]);
      assert.equal((await refusal(post("/never"), "invalid")).message, `${service} answered 422`);
    });

    test("end in time when no answer comes, or only half of one", async () => {
      for (const path of ["/silent", "/half"]) {
        const late = await refusal(post(path, open({ answerMaxMs: quickMs })), "unavailable");
        assert.match(late.message, /no answer within 150 ms/);
      }
    });

    test("end in time when there is no connection: a name that nobody answers for", async () => {
      const never: LookupFunction = () => {};
      const outbound = open({ connectMaxMs: quickMs }, never);
      const late = await refusal(post("/well", outbound), "unavailable");
      assert.match(late.message, /no connection within 150 ms/);
    });

    test("end with the caller's reason when the caller gives up", async () => {
      const reason = new Error("enough");
      const sent = post("/silent", open(), AbortSignal.any([aborted(quickMs, reason)]));
      await assert.rejects(sent, (error) => error === reason);
      await assert.rejects(post("/well", open(), AbortSignal.abort(reason)), reason);
    });

    test("read no more of an answer than they may", async () => {
      const whole = await post("/large", open({ answerBytesMax: 2000 }));
      assert.equal(whole.body.length, 2000);
      for (const path of ["/large", "/endless"]) {
        const large = await refusal(post(path, open({ answerBytesMax: 1999 })), "internal");
        assert.equal(large.message, `${service} answered with more than 1999 bytes`);
      }
    });

    test("to a service that is away are tried later", async () => {
      const free = createServer();
      free.listen(0, "127.0.0.1");
      await once(free, "listening");
      const { port: closed } = free.address() as AddressInfo;
      await new Promise((resolve) => free.close(resolve));
      const url = new URL(`http://127.0.0.1:${closed}`);
      const outbound = createOutbound({ allowedOrigins: [url.origin] });
      await refusal(outbound.send(service, url, { method: "GET" }), "unavailable");
    });

    test("into one's own network are refused before anything is sent", async () => {
      const outbound = createOutbound();
      const hosts = ["127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "0"];
      for (const host of [...hosts, "localhost"]) {
        const url = new URL(`http://${host}:${port}/well`);
        const count = await requestsOf(async () => {
          const refused = outbound.send(service, url, { method: "POST", body: "{}" });
          const { message } = await refusal(refused, "forbidden");
          assert.match(message, /not a public address.*OUTBOUND_ALLOWED_ORIGINS/);
        });
        assert.equal(count, 0, host);
        await refusal(outbound.check(service, url), "forbidden");
      }
      for (const url of ["file:///etc/passwd", `http://a:b@127.0.0.1:${port}`]) {
        await refusal(outbound.send(service, new URL(url), { method: "GET" }), "forbidden");
      }
    });

    test("go where the name was found to be: it cannot change after it was checked", async () => {
      const rebound = lookupOf(["192.0.46.9"], loopback);
      const outbound = createOutbound({}, rebound);
      await outbound.check(service, named("/well"));
      const sent = () => refusal(post("/well", outbound), "forbidden");
      assert.equal(await requestsOf(sent), 0);
      const steady = lookupOf(loopback, ["192.0.46.9"]);
      await post("/well", open({}, steady.lookup));
      assert.deepEqual(steady.looks, ["service.test"]);
    });

    test("to a name with one address that is not public are refused, whichever it is", async () => {
      for (const all of [["192.0.46.9", "127.0.0.1"], ["::ffff:7f00:1"], ["64:ff9b::7f00:1"]]) {
        const outbound = createOutbound({}, lookupOf(all));
        assert.equal(await requestsOf(() => refusal(post("/well", outbound), "forbidden")), 0);
      }
    });

    test("to an allowed origin go to any address, and to its neighbour do not", async () => {
      assert.equal((await post("/well")).status, 200);
      const other = open({ allowedOrigins: [`http://service.test:${port + 1}`] });
      await refusal(post("/well", other), "forbidden");
      assert.throws(() => createOutbound({ allowedOrigins: ["service.test"] }), RangeError);
    });
  });
};

const aborted = (afterMs: number, reason: Error): AbortSignal => {
  const stopping = new AbortController();
  setTimeout(() => stopping.abort(reason), afterMs);
  return stopping.signal;
};
