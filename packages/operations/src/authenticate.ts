/** Who sends a request: the owner of the key that it carries. */

import { fault } from "@outrider/event";
import type { Log } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { MiddlewareHandler } from "hono";
import { auth } from "hono/utils/basic-auth";
import { createAttemptLimit } from "./attempt-limit.ts";
import type { AttemptLimits } from "./attempt-limit.ts";
import type { Caller } from "./caller.ts";
import type { OperationsEnv } from "./operation.ts";
import { findCaller, fingerprintOf, readFingerprints } from "./keys.ts";
import { createTogether } from "./together.ts";

/** Throws `unauthorized` or `too_many_requests`. */
export type Authenticate = (request: Request, address: string) => Promise<Caller>;

export type KeyDeps = Readonly<{
  sql: Sql;
  log: Pick<Log, "warn">;
  monotonicMs(): number;
}>;

const neededKey = "A key is needed, as Authorization: Bearer <key>; on /docs press Authorize";

/**
 * A key counts until it is revoked: each request asks the database. Where an address has shown too
 * many wrong keys, a right one still passes, since many may share the address of a proxy. Guessing
 * from there is told 429, and costs the database one question for all guesses that wait for it.
 */
export const createKeyCheck = (
  { sql, log, monotonicMs }: KeyDeps,
  limits?: Partial<AttemptLimits>,
): Authenticate => {
  const limit = createAttemptLimit(monotonicMs, limits);
  const fingerprints = createTogether(() => readFingerprints(sql));
  const isKnown = async (key: string): Promise<boolean> => {
    const fingerprint = fingerprintOf(key);
    return fingerprint !== undefined && (await fingerprints()).has(fingerprint);
  };
  return async (request, address) => {
    const key = keyOf(request);
    const details = { challenge: challengeOf(request) };
    if (key === undefined) {
      throw fault("unauthorized", neededKey, { details });
    }
    const retryAfterMs = limit.waitMs(address);
    const isLookedAt = retryAfterMs === undefined || (await isKnown(key));
    const caller = isLookedAt ? await findCaller(sql, key) : undefined;
    if (caller) return caller;
    if (retryAfterMs !== undefined) {
      throw fault("too_many_requests", "Too many wrong keys from this address", { retryAfterMs });
    }
    limit.failed(address, key);
    log.warn({ address }, "a wrong, revoked or expired key was presented");
    throw fault("unauthorized", "This key is wrong, revoked or expired", { details });
  };
};

/** Pages that people open in a browser. */
const pages = /^\/(docs|openapi\.json|queues)(\/|$)/;

const challengeOf = (request: Request): string => {
  // `CONNECT *` has no URL.
  const scheme = pages.test(URL.parse(request.url)?.pathname ?? "") ? "Basic" : "Bearer";
  return `${scheme} realm="outrider"`;
};

/** A browser asks for a user and a password, which is the key; it may only look then. */
const keyOf = (request: Request): string | undefined => {
  const header = request.headers.get("authorization") ?? "";
  const [, bearer] = /^bearer +(\S+)$/i.exec(header) ?? [];
  if (bearer !== undefined) return bearer;
  return request.method === "GET" ? auth(request)?.password : undefined;
};

/** For what is mounted behind it; what needs no key is mounted before. */
export const requireKey =
  (authenticate: Authenticate): MiddlewareHandler<OperationsEnv> =>
  async (c, next) => {
    c.set("caller", await authenticate(c.req.raw, c.env?.address ?? "unknown"));
    await next();
  };
