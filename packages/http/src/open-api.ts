/**
 * `/openapi.json`, an OpenAPI 3.1 document of the routes, and `/docs`, Swagger UI served by the
 * app itself, so that it works where there is no internet.
 */

import { fault } from "@outrider/event";
import { openAPIRouteHandler, resolver } from "hono-openapi";
import type { OpenAPIV3_1 } from "openapi-types";
import * as v from "valibot";
import type { Api } from "./api.ts";

const problem = v.pipe(
  v.object({
    type: v.string(),
    title: v.string(),
    status: v.pipe(v.number(), v.integer()),
    detail: v.string(),
    instance: v.string(),
    errors: v.optional(v.array(v.object({ pointer: v.string(), detail: v.string() }))),
    requestId: v.string(),
  }),
  v.metadata({ ref: "Problem" }),
);

/** A response of describeRoute: JSON of this schema. */
export const jsonResponse = (description: string, schema: v.GenericSchema) => ({
  description,
  content: { "application/json": { schema: resolver(schema) } },
});

const always = {
  503: "The database cannot be reached, see Retry-After",
  504: "It took too long; whether it was done is not known",
};

/** Responses of describeRoute for what may go wrong: `{ 404: "There is no such order" }`. */
export const problemResponses = (descriptions: Readonly<Record<number, string>>) => ({
  ...Object.fromEntries(
    Object.entries({ ...descriptions, ...always }).map(([status, description]) => [
      status,
      { description, content: { "application/problem+json": { schema: resolver(problem) } } },
    ]),
  ),
  // The server's own answer, before any of this is asked.
  431: { description: "The path, the query and the headers have more than 16 KiB together" },
});

export const idempotencyKeyParameter = {
  name: "Idempotency-Key",
  in: "header",
  required: false,
  description: "Makes the request safe to repeat: the first answer is given again for 24 hours",
  schema: {
    type: "string",
    pattern: String.raw`^("[!#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$`,
  },
} as const;

export type DocsDeps = Readonly<{
  info: Readonly<{ title: string; version: string; description: string }>;
  /** Of the document besides: how callers say who they are. */
  components?: OpenAPIV3_1.ComponentsObject;
  /** A file of swagger-ui-dist by its name. */
  readAsset: (name: string) => Promise<Uint8Array<ArrayBuffer>>;
}>;

const assets: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
};

/** To be called after all routes are there. */
export const serveDocs = (app: Api, { info, components, readAsset }: DocsDeps): void => {
  const documentation = { info, ...(components && { components }) };
  app.get("/openapi.json", openAPIRouteHandler(app, { documentation }));

  app.get("/docs", (c) => c.html(page(info.title), 200, { "content-security-policy": pagePolicy }));

  app.get("/docs/start.js", (c) => c.body(script, 200, { "content-type": "text/javascript" }));

  app.get("/docs/:asset", async (c) => {
    const name = c.req.param("asset");
    const type = Object.hasOwn(assets, name) ? assets[name] : undefined;
    if (!type) throw fault("not_found", `There is nothing at ${c.req.path}`);
    return c.body(await readAsset(name), 200, {
      "content-type": type,
      "cache-control": "max-age=3600",
    });
  });
};

/** Swagger UI sets style attributes and shows icons from data URLs; scripts are files only. */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
].join("; ");

const page = (title: string): string => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>${title}</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
    <link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
  </head>
  <body>
    <main id="docs"></main>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

const script = `SwaggerUIBundle({ url: "/openapi.json", dom_id: "#docs", deepLinking: true });\n`;
