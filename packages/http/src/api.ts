/**
 * A Hono app with what every HTTP API of ours does: request ids, access log, secure headers, a
 * time and a body limit, and problems for everything that goes wrong. Web APIs only.
 */

import { fault } from "@outrider/event";
import type { Cause, Log } from "@outrider/event";
import { Hono } from "hono";
import type { Context, MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { routePath } from "hono/route";
import { secureHeaders } from "hono/secure-headers";
import { asFault } from "./as-fault.ts";
import { withDeadline } from "./deadline.ts";
import { problemResponse } from "./problem.ts";
import { requestIdOf, traceIdOf, traceparentOf } from "./request-id.ts";

export type ApiEnv = {
  Variables: {
    requestId: string;
    /** The request as the cause of the events it leads to. */
    cause: Cause;
    /** Aborted when it took too long, and nobody waits for the answer any more. */
    late: AbortSignal;
  };
};

export type Api = Hono<ApiEnv>;

export type ApiDeps = Readonly<{
  log: Log;
  newId: () => string;
  /** Asked about each request before anything of its body is read; throws what it refuses. */
  guard?: MiddlewareHandler;
  /** Told of every answer, for metrics; `route` is the pattern, not the path. */
  observe?: (request: {
    method: string;
    route: string;
    status: number;
    durationMs: number;
  }) => void;
}>;

export type ApiLimits = Readonly<{ bodyBytesMax?: number; timeoutMs?: number }>;

/**
 * `timeoutMs`: a request that takes longer is answered with 504; what it began may still commit,
 * so a caller repeats it with the same Idempotency-Key.
 */
export const createApi = (
  deps: ApiDeps,
  { bodyBytesMax = 65_536, timeoutMs = 10_000 }: ApiLimits = {},
): Api => {
  const app: Api = new Hono<ApiEnv>();
  const tooLarge = () => {
    throw fault("too_large", `The body may have ${bodyBytesMax} bytes`);
  };
  app.use(identify(deps.newId));
  app.use(logAccess(deps));
  app.use(secureHeaders());
  app.use(allowNothing);
  app.use((c, next) => {
    const late = new AbortController();
    c.set("late", late.signal);
    return withDeadline(next(), timeoutMs, async () => {
      const refusal = fault("timeout", `There was no answer within ${timeoutMs} ms`);
      late.abort(refusal);
      throw refusal;
    });
  });
  if (deps.guard) app.use(deps.guard);
  app.use(bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }));
  app.notFound((c) => refuse(deps.log, noRoute(app, c), c));
  app.onError((error, c) => refuse(deps.log, error, c));
  return app;
};

const identify =
  (newId: () => string): MiddlewareHandler<ApiEnv> =>
  async (c, next) => {
    const requestId = requestIdOf(c.req.header("x-request-id")) ?? newId();
    const traceparent = traceparentOf(c.req.header("traceparent"));
    c.set("requestId", requestId);
    c.set("cause", { headers: { correlationId: requestId, ...(traceparent && { traceparent }) } });
    await next();
    c.header("x-request-id", requestId);
  };

/** What we answer is data; a page says itself what it needs. */
const allowNothing: MiddlewareHandler = async (c, next) => {
  await next();
  const name = "content-security-policy";
  if (!c.res.headers.has(name)) c.header(name, "default-src 'none'; frame-ancestors 'none'");
};

/** Probes come every second and say nothing when they succeed. */
const quiet = new Set(["/livez", "/readyz", "/metrics"]);

const logAccess =
  ({ log, observe }: ApiDeps): MiddlewareHandler<ApiEnv> =>
  async (c, next) => {
    const started = performance.now();
    await next();
    const { method, path } = c.req;
    const durationMs = Math.round((performance.now() - started) * 10) / 10;
    const traceId = traceIdOf(c.get("cause").headers?.traceparent);
    const { status } = c.res;
    observe?.({ method, route: routePath(c, -1), status, durationMs });
    const line = { requestId: c.get("requestId"), method, path, status, durationMs };
    log[quiet.has(path) ? "debug" : "info"]({ ...line, ...(traceId && { traceId }) }, "answered");
  };

const refuse = (log: Log, error: unknown, c: Context<ApiEnv>): Response => {
  const refusal = asFault(error);
  const requestId = c.get("requestId");
  const response = problemResponse(refusal, { path: c.req.path, requestId });
  const { allow, challenge = "Bearer" } = refusal.details;
  if (response.status === 405) response.headers.set("allow", String(allow));
  if (response.status === 401) response.headers.set("www-authenticate", String(challenge));
  if (response.status >= 500) log.error({ requestId, err: error }, "a request failed");
  return response;
};

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/** `method_not_allowed` where another method has a route, else `not_found`. */
const noRoute = (app: Api, { req }: Context<ApiEnv>) => {
  const allowed = methods.filter((method) => hasRoute(app, method, req.path));
  if (allowed.length === 0) return fault("not_found", `There is nothing at ${req.path}`);
  return fault("method_not_allowed", `${req.method} is not possible here`, {
    details: { allow: allowed.join(", ") },
  });
};

const hasRoute = (app: Api, method: string, path: string): boolean => {
  // Hono answers HEAD with the route of GET.
  const routed = method === "HEAD" ? "GET" : method;
  const [handlers] = app.router.match(routed, path);
  // Middleware is registered for ALL and matches everywhere.
  return handlers.some(([[, route]]) => route.method === routed);
};
