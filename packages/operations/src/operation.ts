/** What all routes of the operations API have in common: a name, a scope, an answer, an audit. */

import { fault } from "@outrider/event";
import { jsonResponse, problemResponses } from "@outrider/http";
import type { ApiEnv } from "@outrider/http";
import type { Sql, TransactionSql } from "@outrider/postgres";
import type { Context, MiddlewareHandler } from "hono";
import { describeRoute, uniqueSymbol } from "hono-openapi";
import type * as v from "valibot";
import { recordDeed } from "./audit.ts";
import { assertScope } from "./caller.ts";
import type { Caller, Scope } from "./caller.ts";

export type OperationsEnv = {
  Bindings: {
    /** Of the client. */
    address?: string;
  };
  Variables: ApiEnv["Variables"] & {
    caller: Caller;
    /** Of the route. */
    operationId: string;
  };
};

export type Operation = Readonly<{
  id: string;
  /** One of several is enough. */
  scope: Scope | readonly Scope[];
  summary: string;
  /** Status, meaning and form of the answer; without a form there is no body. */
  answer: readonly [status: number, description: string, schema?: v.GenericSchema];
  /** It takes a body of JSON. */
  body?: boolean;
  /** What may go wrong besides what always may. */
  problems?: Readonly<Record<number, string>>;
}>;

const always: Readonly<Record<number, string>> = {
  401: "The key is missing, wrong, revoked or expired",
  403: "The key does not have the scope",
  429: "Too many wrong keys, or live lists, see Retry-After",
};

const ofBodies: Readonly<Record<number, string>> = {
  400: "The body is not JSON",
  413: "The body is too large",
  415: "The body is not application/json",
  422: "Fields are invalid",
};

/** A route that changes nothing: its answer is also there as a live one, see live.ts. */
export const look = (one: Omit<Operation, "body">): MiddlewareHandler<OperationsEnv> =>
  operation({ ...one, isLive: true });

const liveContent = { "text/event-stream": { schema: { type: "string" } } } as const;

/** Describes a route, and refuses callers without its scope. */
export const operation = (
  one: Operation & Readonly<{ isLive?: boolean }>,
): MiddlewareHandler<OperationsEnv> => {
  const { id, scope, summary, answer, body, problems, isLive } = one;
  const [status, description, schema] = answer;
  const needed = [scope].flat();
  const described = describeRoute({
    operationId: id,
    summary,
    security: needed.map((name) => ({ key: [name] })),
    responses: {
      [status]: schema ? answerOf(description, schema, isLive) : { description },
      ...problemResponses({ ...always, ...(body ? ofBodies : {}), ...problems }),
    },
  });
  const allow: MiddlewareHandler<OperationsEnv> = async (c, next) => {
    assertScope(c.get("caller"), needed);
    c.set("operationId", id);
    await next();
  };
  return Object.assign(allow, { [uniqueSymbol]: Reflect.get(described, uniqueSymbol) });
};

const answerOf = (description: string, schema: v.GenericSchema, isLive = false) => {
  const json = jsonResponse(description, schema);
  return isLive ? { ...json, content: { ...json.content, ...liveContent } } : json;
};

/**
 * For a path that one with a parameter would match, too, such as `/bulk` beside `/:id`. Throws
 * `method_not_allowed` for all methods but this one.
 */
export const only =
  (method: string): MiddlewareHandler<OperationsEnv> =>
  async (c, next) => {
    if (c.req.method === method) return next();
    throw fault("method_not_allowed", `${c.req.method} is not possible here`, {
      details: { allow: method },
    });
  };

export type Change<T> = Readonly<{
  sql: Sql;
  /** What it is done to, or made: `dead-letters/7`. */
  target: string | ((done: T) => string);
  /** What was asked for; never a payload or a key. */
  details?: Details | ((done: T) => Details);
}>;

type Details = Readonly<Record<string, unknown>>;

/** Changes something, and writes down who did it, in one transaction. */
export const change = <T>(
  c: Context<OperationsEnv>,
  { sql, target, details = {} }: Change<T>,
  act: (tx: TransactionSql) => Promise<T>,
): Promise<T> =>
  sql.begin(async (tx) => {
    const done = await act(tx);
    await recordDeed(tx, {
      caller: c.get("caller"),
      action: c.get("operationId"),
      target: typeof target === "string" ? target : target(done),
      details: typeof details === "function" ? details(done) : details,
      requestId: c.get("requestId"),
    });
    return done;
  }) as Promise<T>;
