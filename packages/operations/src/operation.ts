/** What all routes of the operations API have in common: a name, a scope, an answer, an audit. */

import { fault } from "@outrider/event";
import { jsonResponse, locationOf, problemResponses } from "@outrider/http";
import type { ApiEnv } from "@outrider/http";
import type { Sql, TransactionSql } from "@outrider/postgres";
import type { Context, MiddlewareHandler } from "hono";
import { describeRoute, uniqueSymbol } from "hono-openapi";
import type * as v from "valibot";
import { recordDeed } from "./audit.ts";
import { assertScope } from "./caller.ts";
import type { Caller, Scope } from "./caller.ts";
import { textsOf } from "./operation-texts.ts";
import type { OperationId } from "./operation-texts.ts";

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
  /** Under which it has its texts. */
  id: OperationId;
  /** One of several is enough. */
  scope: Scope | readonly Scope[];
  /** Status, meaning and form of the answer. */
  answer: readonly [status: number, description: string, schema: v.GenericSchema];
  /** It is lines of JSON, one of that form each. */
  isLines?: boolean;
  /** What was begun can be followed at `Location`, such as this path. */
  location?: string;
  /** It takes a body of JSON. */
  body?: boolean;
  /** What may go wrong besides what always may. */
  problems?: Readonly<Record<number, string>>;
}>;

const always: Readonly<Record<number, string>> = {
  401: "The key is missing, wrong, revoked or expired. On this page press Authorize.",
  403: "The key does not have the scope",
  429: "Too many wrong keys came from this address. Try again after Retry-After.",
};

const ofLive: Readonly<Record<number, string>> = {
  429:
    "Too many wrong keys came from this address: try again after Retry-After. " +
    "Or, asked for a live answer: too many are open already.",
};

const ofBodies: Readonly<Record<number, string>> = {
  400: "The body is not JSON",
  413: "The body is too large",
  415: "The body is not application/json",
  422: "Fields are invalid",
};

/** A route that changes nothing: its answer is also there as a live one, see live.ts. */
export const look = (one: Omit<Operation, "body" | "location">) =>
  operation({ ...one, isLive: !one.isLines });

const liveContent = {
  "text/event-stream": {
    schema: {
      type: "string",
      description: "Server-sent events: the whole answer first, and again after each change.",
    },
    example: 'event: parked\nid: 1\ndata: {"items":[],"next":null}\n\n',
  },
} as const;

/** Describes a route, and refuses callers without its scope. */
export const operation = (
  one: Operation & Readonly<{ isLive?: boolean }>,
): MiddlewareHandler<OperationsEnv> => {
  const { id, scope, body, problems, isLive } = one;
  const needed = [scope].flat();
  const { description, ...texts } = textsOf(id);
  const described = describeRoute({
    operationId: id,
    ...texts,
    description: [description, scopeText(needed), isLive ? liveText : ""].join(" ").trimEnd(),
    security: needed.map((name) => ({ key: [name] })),
    responses: {
      [one.answer[0]]: answerOf(one),
      ...problemResponses(
        { ...always, ...(isLive && ofLive), ...(body && ofBodies), ...problems },
        { 401: challenge },
      ),
    },
  });
  const allow: MiddlewareHandler<OperationsEnv> = async (c, next) => {
    assertScope(c.get("caller"), needed);
    c.set("operationId", id);
    await next();
  };
  return Object.assign(allow, { [uniqueSymbol]: Reflect.get(described, uniqueSymbol) });
};

const scopeText = (needed: readonly Scope[]): string =>
  `Needs the scope ${needed.map((name) => `\`${name}\``).join(" or ")}.`;

const liveText = "With `accept: text/event-stream` the answer is sent again whenever it changes.";

const answerOf = ({ answer, isLines, location, ...one }: Operation & { isLive?: boolean }) => {
  const [, description, schema] = answer;
  const answered = jsonResponse(description, schema, {
    ...(isLines && { type: linesType }),
    ...(location !== undefined && { headers: locationOf("operation", location) }),
  });
  return one.isLive ? { ...answered, content: { ...answered.content, ...liveContent } } : answered;
};

export const linesType = "application/x-ndjson";

const challenge = { "WWW-Authenticate": { $ref: "#/components/headers/Challenge" } };

/** Headers that the document names for this API. */
export const headers = {
  Challenge: {
    description: "How a key is sent",
    schema: { type: "string" },
    example: 'Bearer realm="outrider"',
  },
} as const;
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
