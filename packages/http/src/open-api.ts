/** `/openapi.json`, an OpenAPI 3.1 document of the routes, and what their descriptions share. */

import { openAPIRouteHandler, resolver } from "hono-openapi";
import type { OpenAPIV3_1 } from "openapi-types";
import * as v from "valibot";
import type { Api } from "./api.ts";
import { about, named } from "./described.ts";
import { serveDocsPage } from "./docs-page.ts";
import type { ReadAsset } from "./docs-page.ts";
import { legalKey } from "./idempotency.ts";
import { exampleProblem } from "./problem.ts";

const fieldProblem = named(
  v.object({
    pointer: about(v.string(), "Which field: a JSON pointer (RFC 6901)", "/lines/0/quantity"),
    detail: about(v.string(), "What is wrong with it", "must be a whole number from 1 to 10000"),
  }),
  { name: "FieldProblem", description: "One field that is wrong." },
);

const problem = named(
  v.object({
    type: about(
      v.pipe(v.string(), v.regex(/^urn:outrider:problem:[a-z_]+$/)),
      "The kind of problem; it stays the same, so programs compare it",
      "urn:outrider:problem:invalid",
    ),
    title: about(v.string(), "The kind of problem in words", "Invalid fields"),
    status: about(
      v.pipe(v.number(), v.integer(), v.minValue(400), v.maxValue(599)),
      "The status of the answer",
      422,
    ),
    detail: about(v.string(), "What was wrong with this request", "1 field is not valid"),
    instance: about(v.string(), "The path that was asked for", "/v1/orders"),
    errors: about(v.optional(v.array(fieldProblem)), "The fields that are wrong, each once"),
    requestId: about(
      v.string(),
      "The request in the log: what X-Request-Id says, too",
      "01890a5d-ac96-774b-bcce-b302099a8057",
    ),
  }),
  { name: "Problem", description: "What went wrong, as RFC 9457 says it." },
);

type Headers = Readonly<Record<string, OpenAPIV3_1.HeaderObject | OpenAPIV3_1.ReferenceObject>>;

const headers: Readonly<Record<string, OpenAPIV3_1.HeaderObject>> = {
  RequestId: {
    description:
      "The request in the log: the caller's own X-Request-Id, or a new one. All have it.",
    schema: { type: "string", example: "01890a5d-ac96-774b-bcce-b302099a8057" },
  },
  RetryAfter: {
    description: "Seconds until it makes sense to try again, where that is known",
    schema: { type: "integer", minimum: 0, example: 2 },
  },
};

const requestId: Headers = { "X-Request-Id": { $ref: "#/components/headers/RequestId" } };

/** Of an answer that says when to try again. */
export const retryAfter: Headers = { "Retry-After": { $ref: "#/components/headers/RetryAfter" } };

/** Of an answer that says where something is. */
export const locationOf = (what: string, example: string): Headers => ({
  Location: { description: `Path of the ${what}`, schema: { type: "string", example } },
});

type Answering = Readonly<{ headers?: Headers; type?: string }>;

/** A response of describeRoute: JSON of this schema, unless it is said otherwise. */
export const jsonResponse = (
  description: string,
  schema: v.GenericSchema,
  { headers: more, type = "application/json" }: Answering = {},
) => ({
  description,
  headers: { ...requestId, ...more },
  content: { [type]: { schema: resolver(schema) } },
});

/** A response of describeRoute for what may go wrong. */
export const problemDescription = (status: number, description: string, more: Headers = {}) => ({
  description,
  headers: more,
  content: {
    "application/problem+json": {
      schema: resolver(problem),
      example: exampleProblem(status, description),
    },
  },
});

/** What a server does not read has no body: it never came to the app. */
export const headersTooLarge = {
  431: {
    description: "The path, the query and the headers are larger than 16 KiB. There is no body.",
  },
};

const always: Readonly<Record<number, string>> = {
  503: "The database cannot be reached. Try again after Retry-After.",
  504: "It took too long. Whether it was done is not known.",
};

const saysWhen: Readonly<Record<string, Headers>> = { 429: retryAfter, 503: retryAfter };

/**
 * Responses of describeRoute for all that may go wrong: `{ 404: "There is no such order" }`. `more`
 * are headers besides, by status.
 */
export const problemResponses = (
  descriptions: Readonly<Record<number, string>>,
  more: Readonly<Record<string, Headers>> = {},
) => ({
  ...Object.fromEntries(
    Object.entries({ ...always, ...descriptions }).map(([status, description]) => [
      status,
      problemDescription(Number(status), description, { ...saysWhen[status], ...more[status] }),
    ]),
  ),
  ...headersTooLarge,
});

export const idempotencyKeyParameter = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description:
    "Makes the request safe to repeat: the first answer is given again for 24 hours. " +
    "1 to 255 visible ASCII characters, as they are or as a quoted string.",
  schema: {
    type: "string",
    minLength: 1,
    maxLength: 257,
    pattern: legalKey.source,
    // The docs page fills in what stands beside the schema, and a key of one request is no other's.
    examples: ["9f1c2a6e-order-4711"],
  },
} as const;

export type DocsDeps = Readonly<{
  info: Readonly<{ title: string; version: string; description: string }>;
  /** Groups of operations, in the order in which the page shows them. */
  tags: readonly Readonly<{ name: string; description: string }>[];
  /** How callers say who they are. */
  securitySchemes?: OpenAPIV3_1.ComponentsObject["securitySchemes"];
  /** Headers of answers that the document names besides. */
  headers?: Readonly<Record<string, OpenAPIV3_1.HeaderObject>>;
  readAsset: ReadAsset;
}>;

/** To be called after all routes are there. */
export const serveDocs = (app: Api, deps: DocsDeps): void => {
  const { info, tags, securitySchemes, headers: more, readAsset } = deps;
  const documentation = {
    info: {
      ...info,
      contact: { name: "The operators of this installation" },
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/", description: "The process that serves this document" }],
    tags: [...tags],
    // Said of each operation where there are keys, and here that there are none.
    ...(!securitySchemes && { security: [] }),
    components: {
      headers: { ...headers, ...more },
      ...(securitySchemes && { securitySchemes }),
    },
  };
  // What is invalid is a 422 or a 404 here, never the 400 that a validator might answer.
  const options = { documentation, defaultValidationErrorResponse: false } as const;
  app.get("/openapi.json", openAPIRouteHandler(app, options));
  serveDocsPage(app, info.title, readAsset);
};
