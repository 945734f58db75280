/** `/docs`: Swagger UI served by the app itself, so that it works where there is no internet. */

import { fault } from "@outrider/event";
import type { Api } from "./api.ts";

/** A file of swagger-ui-dist by its name. */
export type ReadAsset = (name: string) => Promise<Uint8Array<ArrayBuffer>>;

const assets: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
};

export const serveDocsPage = (app: Api, title: string, readAsset: ReadAsset): void => {
  app.get("/docs", (c) => c.html(page(title), 200, { "content-security-policy": pagePolicy }));

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

/** Swagger UI leaves the names of headers dark on dark. */
const page = (title: string): string => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${title}</title>
    <link rel="stylesheet" href="/docs/swagger-ui.css">
    <style>.dark-mode .swagger-ui td.header-col { color: inherit; }</style>
    <link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
  </head>
  <body>
    <main id="docs"></main>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

/**
 * The page is dark where its reader's system is. A call carries the key that was given to Authorize
 * and never the password that a browser keeps: what the curl beside it shows is what was sent.
 */
const script = `const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: "none",
  requestInterceptor: (request) => {
    request.credentials = request.loadSpec ? "same-origin" : "omit";
    return request;
  },
});
`;
