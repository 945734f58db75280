/**
 * Requests to services of others: with time limits, a bounded answer, no redirects, and to public
 * addresses only, but for origins that are allowed by name. A name is looked up once for each
 * connection, and what was found and checked is what is connected to, so that a name cannot change
 * its address in between. That rests on the hook `lookup` of `node:http`, which `fetch` does not
 * have and which Node 24 and Bun 1.4 call (test/contract/outbound.ts runs on both). Each request
 * has a connection of its own: one that is kept would outlive what was found out about its name.
 */

import * as dns from "node:dns";
import type { LookupFunction } from "node:net";
import { fault, isFault } from "@outrider/event";
import { refusalOf } from "./answer.ts";
import type { OutboundAnswer } from "./answer.ts";
import { exchange } from "./exchange.ts";
import { guardAddress, guardLookup, guardUrl, hostOf } from "./guard.ts";

export type OutboundSettings = Readonly<{
  /** Such as `http://10.0.0.5:8080`: these may be at an address that is not public. */
  allowedOrigins: readonly string[];
  /** For looking up the name and opening the connection, TLS included. */
  connectMaxMs: number;
  /** For the whole request, until its answer has been read. */
  answerMaxMs: number;
  /** Of an answer's body. Its headers have Node's limit, 16 KiB. */
  answerBytesMax: number;
}>;

export type OutboundRequest = Readonly<{
  method: string;
  headers?: Readonly<Record<string, string>>;
  body?: string;
  /** Of the caller: its reason is thrown. */
  signal?: AbortSignal;
}>;

export type Outbound = Readonly<{
  /**
   * Resolves with an answer of 2xx, and throws Faults else, whose messages begin with `service`:
   * `unavailable` where the service is away, too slow or asks to come later, with its Retry-After;
   * `invalid` where it refuses this request for good; `forbidden` where the guard does; `internal`
   * for everything else that it may answer.
   */
  send(service: string, url: URL, request: OutboundRequest): Promise<OutboundAnswer>;
  /**
   * Throws `forbidden` for a URL that the guard refuses now; for settings, when a process starts. A
   * name that cannot be looked up is passed over.
   */
  check(service: string, url: URL): Promise<void>;
}>;

export type OutboundDeps = Readonly<{ lookup: LookupFunction }>;

export const outboundDefaults: OutboundSettings = {
  allowedOrigins: [],
  connectMaxMs: 2000,
  answerMaxMs: 4000,
  answerBytesMax: 1_048_576,
};

/** Throws RangeError for an allowed origin that is none. */
export const createOutbound = (
  settings: Partial<OutboundSettings> = {},
  { lookup }: OutboundDeps = { lookup: dns.lookup },
): Outbound => {
  const limits = { ...outboundDefaults, ...settings };
  const wrong = limits.allowedOrigins.find((one) => !isOrigin(one));
  if (wrong !== undefined) throw new RangeError(`${wrong} is not an origin`);

  /** The hook that looks up the URL's name. Throws `forbidden` where the URL alone tells enough. */
  const hookFor = (service: string, url: URL): LookupFunction => {
    guardUrl(service, url);
    if (limits.allowedOrigins.includes(url.origin)) return lookup;
    guardAddress(service, url);
    return guardLookup(lookup, service, url);
  };

  return {
    send: async (service, url, request) => {
      const hook = hookFor(service, url);
      const late = AbortSignal.timeout(limits.answerMaxMs);
      const signal = AbortSignal.any([late, ...(request.signal ? [request.signal] : [])]);
      const answer = await exchange(url, { ...request, lookup: hook, signal }, limits).catch(
        (cause: unknown) => {
          if (request.signal?.aborted) throw request.signal.reason;
          if (isFault(cause, "forbidden")) throw cause;
          if (isFault(cause, "too_large")) {
            throw fault("internal", `${service} answered with ${cause.message}`);
          }
          const why = late.aborted ? `no answer within ${limits.answerMaxMs} ms` : reasonOf(cause);
          throw fault("unavailable", `${service} cannot be reached: ${why}`, { cause });
        },
      );
      const refusal = refusalOf(service, answer, Date.now());
      if (refusal) throw refusal;
      return answer;
    },
    check: async (service, url) => {
      const hook = hookFor(service, url);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      hook(hostOf(url), { all: true }, (error) =>
        isFault(error, "forbidden") ? reject(error) : resolve(),
      );
      await promise;
    },
  };
};

/** True for what stands before the path of a URL, as a browser writes it. */
export const isOrigin = (text: string): boolean =>
  URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;

/** A code, such as ECONNREFUSED, says as much as a message, and is the same each time. */
const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error && !isFault(error) ? String(error.code) : undefined;
  return code ?? error.message;
};
