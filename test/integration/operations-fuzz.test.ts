/**
 * Requests that are made up from the OpenAPI document, half of them nonsense: whatever is sent, the
 * API says what is wrong with it, and never that something is wrong with itself.
 */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isFault } from "@outrider/event";
import fc from "fast-check";
import { operationsOf } from "../support/answer-check.ts";
import type { DescribedOperation } from "../support/answer-check.ts";
import { numericRequests } from "../support/numeric-inputs.ts";
import { fillOperations } from "../support/fill-operations.ts";
import { createOwnOperations } from "../support/operations.ts";
import type { OwnOperations } from "../support/operations.ts";

let api: OwnOperations;
let events: string[];

beforeAll(async () => {
  api = await createOwnOperations();
  await fillOperations(api.sql, { parked: 50, letters: 200, inbox: 100 });
  const rows = await api.sql<{ id: string }[]>`select event_id as id from outrider.inbox`;
  events = rows.map((row) => row.id);
});

afterAll(async () => {
  await api?.close();
});

/** Texts that have broken something somewhere before. */
const nastyTexts = [
  ...["", " ", "\0", "a\0b", "\u0001", "\ud800", "é".repeat(300), "x".repeat(20_000), "%00", "'"],
  ...['"', "null", "undefined", "NaN", "-1", "0", "1e309", "99999999999999999999", "infinity"],
  ...["2026-02-30T00:00:00Z", "10000-01-01T00:00:00Z", "00000000-0000-0000-0000-000000000000"],
  ...["../../etc/passwd", "__proto__", "constructor", "W10", "WzFd", "WzEsMl0", "Wy0xXQ", "[]"],
];

const nasty = fc.oneof(
  fc.constantFrom<unknown>(...nastyTexts, null, true, -1, 1e308, 0.5, [], {}, [[]], { a: 1 }),
  fc.jsonValue({ maxDepth: 2 }),
);

type Schema = Readonly<Record<string, unknown>>;

/** What a name of the document stands for. */
const meant = (schema: Schema): Schema => {
  const [, name = ""] = /^#\/components\/schemas\/(.+)$/.exec(String(schema.$ref)) ?? [];
  const { schemas } = api.document.components as { schemas: Record<string, Schema> };
  return schemas[name] ?? schema;
};

/** A value of the schema, or at any place of it something else. */
const valueOf = (schema: Schema, depth = 0): fc.Arbitrary<unknown> => {
  const right = rightValue(meant(schema), depth);
  return fc.oneof({ weight: 3, arbitrary: right }, { weight: 1, arbitrary: nasty });
};

const rightValue = (schema: Schema, depth: number): fc.Arbitrary<unknown> => {
  const { type, properties, required = [], items, pattern } = schema;
  const options = (schema.enum ?? schema.anyOf) as unknown[] | undefined;
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum);
  if (options) return fc.oneof(...options.map((one) => valueOf(one as Schema, depth + 1)));
  if (type === "object" && depth < 5) {
    const entries = Object.entries((properties ?? {}) as Record<string, Schema>);
    return fc.record(
      Object.fromEntries(entries.map(([key, one]) => [key, valueOf(one, depth + 1)])),
      {
        requiredKeys: required as string[],
      },
    );
  }
  if (type === "array")
    return fc.array(valueOf((items ?? {}) as Schema, depth + 1), { maxLength: 3 });
  if (type === "integer") return fc.integer({ min: 1, max: 300 });
  if (type === "number") return fc.double({ min: 0.5, max: 100, noNaN: true });
  if (type === "boolean") return fc.boolean();
  if (typeof pattern === "string" && !pattern.includes("(?"))
    return fc.stringMatching(new RegExp(pattern));
  return fc.oneof(fc.uuid(), fc.string(), fc.constantFrom("shop.handler-1", "CODE_1", "topic-1"));
};

const textOf = (value: unknown): string =>
  (typeof value === "string" ? value : (JSON.stringify(value) ?? "")).toWellFormed();

const requestOf = (path: string, { parameters = [], requestBody }: DescribedOperation) => {
  const names = parameters.filter((one) => one.in === "query");
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  const some = [...names, { name: "odd", schema: { const: "odd" } }];
  const query = fc
    .subarray(some, { maxLength: Math.min(3, some.length) })
    .chain((chosen) =>
      fc.record(Object.fromEntries(chosen.map((one) => [one.name, valueOf(one.schema)]))),
    );
  const known = path.includes("/events/{id}")
    ? fc.constantFrom(...events)
    : fc.integer({ min: 1, max: 300 });
  const id = fc.oneof(known, fc.uuid(), nasty);
  const places = fc.record(Object.fromEntries(inPath.map((name) => [name, id])));
  const schema = Object.values(requestBody?.content ?? {})[0]?.schema as Schema | undefined;
  const body = schema ? fc.oneof(valueOf(schema), fc.constant("{")) : fc.constant(undefined);
  return fc.record({ query, places, body }).map((made) => {
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(textOf(made.places[name]) || "x"),
    );
    const search = new URLSearchParams(
      Object.entries(made.query).map(([name, value]): [string, string] => [name, textOf(value)]),
    );
    return { path: `${filled}?${search}`, body: made.body };
  });
};

/** Redis is not there in this test, which is the one thing that may be missing. */
const isAway = (operationId: string, status: number) =>
  operationId === "getRetryQueue" && status === 503;

/** Before the nonsense, which also revokes keys. */
test("every number is taken within its limits, and refused beyond them", async () => {
  for (const { method, path, body, what, said } of numericRequests(api.document)) {
    const response = await api.call(method, path, { body });
    if (path.includes("retry-queue") && response.status === 503) continue;
    expect([method, path, what, response.status < 500]).toEqual([method, path, what, true]);
    if (!said) continue;
    const { errors = [] } = (await response.json()) as { errors?: { pointer: string }[] };
    const isRefused = errors.some(({ pointer }) => pointer === said.pointer);
    expect([method, path, what, isRefused]).toEqual([method, path, what, !said.isAllowed]);
  }
}, 60_000);

describe("whatever is sent", () => {
  test("every operation answers as it is described, and never with its own failure", async () => {
    const statuses = new Map<string, Set<number>>();
    for (const { method, path, operation } of operationsOf(api.document)) {
      const seen = new Set<number>();
      statuses.set(operation.operationId, seen);
      await fc.assert(
        fc.asyncProperty(requestOf(path, operation), async (request) => {
          const response = await api.call(method, request.path, { body: request.body });
          seen.add(response.status);
          if (isAway(operation.operationId, response.status)) return;
          expect([request, response.status < 500]).toEqual([request, true]);
        }),
        { numRuns: 150 },
      );
    }
    // It has come through to what it asks, and has been refused.
    const through = ["listParked", "getParked", "listDeadLetters", "getDeadLetter", "getEvent"];
    for (const name of through) {
      const seen = [...(statuses.get(name) ?? [])];
      expect([name, seen.includes(200), seen.some((status) => status >= 400)]).toEqual([
        ...[name, true, true],
      ]);
    }
    const failures = api.lines.filter(({ level }) => level === "error");
    expect(failures.filter(({ fields }) => !isFault(errorOf(fields), "unavailable"))).toEqual([]);
  }, 120_000);
});

const errorOf = (fields: object): unknown => ("err" in fields ? fields.err : undefined);
