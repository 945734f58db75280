import { expect, test } from "bun:test";
import { Hono } from "hono";
import type { ApiEnv } from "./api.ts";
import { serveDocsPage } from "./docs-page.ts";

const app = new Hono<ApiEnv>();
serveDocsPage(app, "Things", async () => new Uint8Array());

type Request = { loadSpec?: boolean; credentials?: string };
type Options = Readonly<{ requestInterceptor(request: Request): Request; validatorUrl: string }>;

/** Runs the page's script in a browser that has what the script asks for, and nothing else. */
const start = async (isDark: boolean) => {
  const script = await (await app.request("/docs/start.js")).text();
  const classes = new Map<string, boolean>();
  const options: Options[] = [];
  const media = {
    matches: isDark,
    addEventListener: (_: string, told: () => void) => (change = told),
  };
  let change = () => {};
  const parts = {
    matchMedia: () => media,
    document: { documentElement: { classList: { toggle: classes.set.bind(classes) } } },
    SwaggerUIBundle: (given: Options) => options.push(given),
  };
  new Function(...Object.keys(parts), script)(...Object.values(parts));
  return { classes, media, options: options[0], change: () => change() };
};

test("the page is dark where its reader's system is, and follows it", async () => {
  const page = await start(true);
  expect(page.classes.get("dark-mode")).toBe(true);
  page.media.matches = false;
  page.change();
  expect(page.classes.get("dark-mode")).toBe(false);
});

test("a call carries what Authorize was given, and not the password of the browser", async () => {
  const { options } = await start(false);
  const sent = (request: Request) => options?.requestInterceptor(request).credentials;
  expect(sent({})).toBe("omit");
  expect(sent({ loadSpec: true })).toBe("same-origin");
  expect(options?.validatorUrl).toBe("none");
});
