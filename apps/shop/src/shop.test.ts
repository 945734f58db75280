import { expect, test } from "bun:test";
import type { Log } from "@outrider/event";
import type { Problem } from "@outrider/http";
import { createOutbox } from "@outrider/outbox";
import { connectDatabase } from "@outrider/postgres";
import { createShop } from "./shop.ts";
import { catalogue } from "./topics.ts";

const log: Log = {
  child: () => log,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};

// Connects when it is first used, which it is not here.
const db = connectDatabase({ url: "postgres://nobody@127.0.0.1:1/none", name: "test" });

const app = createShop({
  db,
  outbox: createOutbox(catalogue),
  log,
  now: () => new Date(0),
  newId: () => "id",
  registry: { contentType: "text/plain", metrics: async () => "" },
  checks: {},
  readAsset: async (name) => new TextEncoder().encode(`asset ${name}`),
});

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

const valueAt = (document: unknown, pointer: string): unknown =>
  pointer
    .split("/")
    .slice(1)
    .reduce((value: unknown, key) => (isObject(value) ? value[key] : undefined), document);

/** What is wrong with an OpenAPI document: references, responses, parameters, names. */
const faultsOf = (document: Json): string[] => {
  const faults: string[] = [];
  const operationIds = new Set<unknown>();
  const checkOperation = (path: string, method: string, operation: Json) => {
    const where = `${method} ${path}`;
    if (operationIds.has(operation.operationId)) faults.push(`${where}: operationId twice`);
    operationIds.add(operation.operationId);
    const responses = Object.entries((operation.responses ?? {}) as Json);
    if (responses.length === 0) faults.push(`${where}: no responses`);
    for (const [status, response] of responses) {
      if (!/^([1-5]\d\d|default)$/.test(status)) faults.push(`${where}: status ${status}`);
      if (!valueAt(response, "/description")) faults.push(`${where} ${status}: no description`);
    }
    const parameters = (operation.parameters ?? []) as Json[];
    const named = parameters.filter(({ in: place }) => place === "path").map(({ name }) => name);
    const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    if (String(named) !== String(inPath)) faults.push(`${where}: path parameters ${named}`);
    for (const parameter of parameters) {
      if (!isObject(parameter.schema)) faults.push(`${where}: ${parameter.name} has no schema`);
      if (parameter.in === "path" && parameter.required !== true) faults.push(`${where}: optional`);
    }
  };
  const walk = (value: unknown): void => {
    if (!isObject(value)) return;
    const { $ref } = value;
    if (typeof $ref === "string" && !valueAt(document, $ref.slice(1)))
      faults.push(`${$ref} is gone`);
    for (const inner of Object.values(value)) walk(inner);
  };
  if (!/^3\.1\.\d$/.test(String(document.openapi))) faults.push("not OpenAPI 3.1");
  if (!valueAt(document, "/info/title") || !valueAt(document, "/info/version")) faults.push("info");
  for (const [path, operations] of Object.entries(document.paths as Json)) {
    if (!path.startsWith("/")) faults.push(`${path} does not start with /`);
    for (const [method, operation] of Object.entries(operations as Json)) {
      checkOperation(path, method, operation as Json);
    }
  }
  walk(document);
  return faults;
};

const openApi = async () => (await (await app.request("/openapi.json")).json()) as Json;

test("the OpenAPI document is valid, and has every route and its problems", async () => {
  const document = await openApi();
  expect(faultsOf(document)).toEqual([]);
  const routes = Object.entries(document.paths as Json).flatMap(([path, operations]) =>
    Object.keys(operations as Json).map((method) => `${method} ${path}`),
  );
  expect(routes.sort()).toEqual([
    "get /v1/customers/{id}/orders",
    "get /v1/order-summaries/{id}",
    "get /v1/orders/{id}",
    "post /v1/orders",
    "post /v1/orders/{id}/cancel",
  ]);
  const place = valueAt(document, "/paths") as Record<string, { post: { responses: Json } }>;
  const statuses = Object.keys(place["/v1/orders"]?.post.responses ?? {});
  expect(statuses).toEqual(["201", "400", "409", "413", "415", "422", "431", "503", "504"]);
});

test("the check of the document finds what is wrong with one", () => {
  const broken = {
    openapi: "3.0.0",
    info: { title: "x" },
    paths: {
      "/a/{id}": { get: { responses: {} }, put: { responses: { 200: {} }, parameters: [{}] } },
    },
    components: { $ref: "#/components/schemas/None" },
  };
  expect(faultsOf(broken)).toEqual([
    "not OpenAPI 3.1",
    "info",
    "get /a/{id}: no responses",
    "get /a/{id}: path parameters ",
    "put /a/{id}: operationId twice",
    "put /a/{id} 200: no description",
    "put /a/{id}: path parameters ",
    "put /a/{id}: undefined has no schema",
    "#/components/schemas/None is gone",
  ]);
});

test("the docs page loads nothing from elsewhere, and its files are served here", async () => {
  const response = await app.request("/docs");
  expect(response.headers.get("content-security-policy")).toContain("script-src 'self'");
  const page = await response.text();
  const files = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? "");
  expect(files.length).toBe(4);
  for (const file of files) {
    expect(file).toStartWith("/docs/");
    expect((await app.request(file)).status).toBe(200);
  }
  for (const name of ["constructor", "package.json", "..%2fpackage.json"]) {
    expect((await app.request(`/docs/${name}`)).status).toBe(404);
  }
});

test("what is no order is refused field by field, before the database is asked", async () => {
  const post = async (body: object) => {
    const headers = { "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await app.request("/v1/orders", init);
    const { errors } = (await response.json()) as Problem;
    return [response.status, ...(errors ?? []).map((error) => error.pointer)];
  };
  const line = { sku: "a", quantity: 1, unitPriceMinor: 1 };
  const order = { customerId: "c", currency: "EUR", lines: [line] };
  const withLine = (change: object) => ({ ...order, lines: [line, { ...line, ...change }] });
  expect(await post({})).toEqual([422, "/customerId", "/currency", "/lines"]);
  expect(await post({ ...order, customerId: "" })).toEqual([422, "/customerId"]);
  expect(await post({ ...order, customerId: "x".repeat(65) })).toEqual([422, "/customerId"]);
  expect(await post({ ...order, currency: "EURO" })).toEqual([422, "/currency"]);
  expect(await post({ ...order, lines: Array.from({ length: 101 }, () => line) })).toEqual([
    422,
    "/lines",
  ]);
  for (const quantity of [0, 10_001, 1.5, "1", null]) {
    expect(await post(withLine({ quantity }))).toEqual([422, "/lines/1/quantity"]);
  }
  for (const unitPriceMinor of [-1, 1_000_000_001, 0.5]) {
    expect(await post(withLine({ unitPriceMinor }))).toEqual([422, "/lines/1/unitPriceMinor"]);
  }
  for (const sku of ["", "x".repeat(65), "a\u0000", "\u0085"]) {
    expect(await post(withLine({ sku }))).toEqual([422, "/lines/1/sku"]);
  }
  expect(await post(withLine({ sku: "\ud800" }))).toEqual([400]);
});
