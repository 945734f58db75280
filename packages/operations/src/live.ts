/**
 * Lists that stay open: a GET that accepts `text/event-stream` is answered with server-sent events,
 * one with the whole answer at first and one for each change. It is asked anew all the time, as any
 * caller would: a key that is revoked ends it, and so does a filter that makes no sense.
 */

import { setTimeout as delay } from "node:timers/promises";
import { fault, within } from "@outrider/event";
import { asFault } from "@outrider/http";
import type { Context, MiddlewareHandler } from "hono";
import { streamSSE } from "hono/streaming";
import type { SSEStreamingApi } from "hono/streaming";
import type { Caller } from "./caller.ts";
import type { OperationsEnv } from "./operation.ts";

export type LiveLimits = Readonly<{
  /** Between two looks. */
  livePollMs: number;
  /** A look that takes longer is told as a problem. */
  liveLookMs: number;
  /** Without a change a line is sent so often, so that nobody takes the stream for dead. */
  liveIdleMs: number;
  /** Most streams of this process. */
  liveMax: number;
  /** Most streams of one key: nobody takes those of all others. */
  liveKeyMax: number;
  /** Whoever is refused for too many is told to come back so much later. */
  liveRetryMs: number;
}>;

export const liveDefaults: LiveLimits = {
  livePollMs: 1000,
  liveLookMs: 10_000,
  liveIdleMs: 10_000,
  liveMax: 100,
  liveKeyMax: 20,
  liveRetryMs: 5000,
};

/** A list that is slow to read is read more seldom: it rests so many times as long as it took. */
const restRatio = 4;

/** Answers a request as the API does, and throws what would become a problem. */
export type Ask = (request: Request, env: OperationsEnv["Bindings"]) => Promise<Response>;

type LiveDeps = Readonly<{ ask: Ask; stopping?: AbortSignal | undefined }>;

export const createLive = (
  { ask, stopping }: LiveDeps,
  settings: Partial<LiveLimits> = {},
): MiddlewareHandler<OperationsEnv> => {
  const limits = { ...liveDefaults, ...settings };
  const takeSeat = createSeats(limits);
  return async (c, next) => {
    if (c.req.method !== "GET" || !isLive(c.req.header("accept"))) return next();
    const look = async () => {
      const asked = ask(withoutAccept(c.req.raw), c.env ?? {});
      const answer = await within(limits.liveLookMs, asked);
      if (answer !== "late") return answer;
      throw fault("timeout", `There was no answer within ${limits.liveLookMs} ms`);
    };
    const first = await look();
    if (first.status === 404) return next();
    if (!first.headers.get("content-type")?.startsWith("application/json")) return first;
    const text = await first.text();
    const leave = takeSeat(c.get("caller"));
    return streamSSE(c, async (stream) => {
      try {
        await tell(stream, { first: text, look, stopping, limits, c });
      } finally {
        leave();
      }
    });
  };
};

/** Counts the streams that are open. Throws `too_many_requests`. */
const createSeats = ({ liveMax, liveKeyMax, liveRetryMs: retryAfterMs }: LiveLimits) => {
  const open: (number | null)[] = [];
  return ({ key, name }: Caller): (() => void) => {
    const own = open.filter((one) => one === key).length;
    const told = [
      own >= liveKeyMax && `The key ${name} has ${own} live lists open: close one of them`,
      open.length >= liveMax && `There are ${open.length} live lists already`,
    ].find((one) => one !== false);
    if (told) throw fault("too_many_requests", told, { retryAfterMs });
    open.push(key);
    return () => void open.splice(open.indexOf(key), 1);
  };
};

const isLive = (accept = ""): boolean => /^\s*text\/event-stream\b/.test(accept);

const withoutAccept = (request: Request): Request => {
  const headers = new Headers(request.headers);
  headers.delete("accept");
  return new Request(request.url, { headers });
};

type Telling = Readonly<{
  first: string;
  look(): Promise<Response>;
  stopping: AbortSignal | undefined;
  limits: LiveLimits;
  c: Context<OperationsEnv>;
}>;

const tell = async (stream: SSEStreamingApi, telling: Telling): Promise<void> => {
  const { first, look, stopping, limits, c } = telling;
  const event = c.req.path.replace(/^\/v1\//, "");
  const gone = new AbortController();
  stream.onAbort(() => gone.abort());
  const signal = AbortSignal.any([gone.signal, ...(stopping ? [stopping] : [])]);
  let last = first;
  let toldMs = performance.now();
  let tookMs = 0;
  let number = 1;
  await stream.writeSSE({ event, id: String(number), data: first });
  while (!signal.aborted) {
    const slowMs = Math.min(restRatio * tookMs, limits.liveIdleMs);
    const restMs = Math.max(limits.livePollMs, slowMs);
    await delay(restMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const askedMs = performance.now();
    try {
      const text = await (await look()).text();
      if (text !== last) {
        last = text;
        number += 1;
        toldMs = performance.now();
        await stream.writeSSE({ event, id: String(number), data: text });
      }
    } catch (error) {
      const { code, message } = asFault(error);
      await stream.writeSSE({ event: "problem", data: JSON.stringify({ code, detail: message }) });
      // What has passed when it is asked again is no reason to end.
      if (code !== "unavailable" && code !== "timeout") return;
    }
    tookMs = performance.now() - askedMs;
    if (performance.now() - toldMs >= limits.liveIdleMs) {
      toldMs = performance.now();
      await stream.write(": still here\n\n");
    }
  }
};
