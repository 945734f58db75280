/** The OpenAPI documents of all apps. No services: `bun run check` runs this. */

import { describe, expect, test } from "bun:test";
import { scopes } from "@outrider/operations";
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { Spectral } from "@stoplight/spectral-core";
import type { RulesetDefinition } from "@stoplight/spectral-core";
import { oas } from "@stoplight/spectral-rulesets";
import type { OpenApiDocument } from "./support/answer-check.ts";
import { checkErrors, checkExamples, checkOperations } from "./support/document-faults.ts";
import { checkPaths, checkSchemas, checkSecurity } from "./support/document-faults.ts";
import { readDocument } from "./support/documents.ts";

const documents = {
  shop: await readDocument("shop"),
  operations: await readDocument("operations"),
  outside: await readDocument("outside"),
};

const redocly = await createConfig({ extends: ["recommended"] });

const spectral = new Spectral();
spectral.setRuleset({
  extends: [oas as RulesetDefinition],
  rules: {
    // OpenAPI 3.1 lets any kind of scheme name the roles that an operation needs. Spectral knows
    // scopes of OAuth alone. What we name is compared with what there is by `checkSecurity`.
    "oas3-operation-security-defined": "off",
    // `checkExamples` says the same of all examples at once, and Redocly of most. Spectral compiles
    // the schema of each one anew, which takes 2.4 s of 2.8.
    "oas3-valid-media-example": "off",
    "oas3-valid-schema-example": "off",
  },
});

const rules = {
  "has a group, a name and words for every operation and parameter": checkOperations,
  "names every object, and describes every property": checkSchemas,
  "answers every error with a Problem, and says when to try again": checkErrors,
  "takes nothing that is spelt out in a path for an id": checkPaths,
  "has examples that are what their schemas say, and one for every body": checkExamples,
};

describe.each(Object.entries(documents))("the document of %s", (name, document) => {
  test.each(Object.entries(rules))("%s", (_, rule) => {
    expect(rule(document)).toEqual([]);
  });

  test("says which operation needs which scope, and what happens without it", () => {
    const isGuarded = name === "operations";
    expect(checkSecurity(document, { isGuarded, scopes })).toEqual([]);
  });

  test("has nothing that Redocly's recommended rules find", async () => {
    const source = JSON.stringify(document);
    const found = await lintFromString({ source, absoluteRef: `${name}.json`, config: redocly });
    const said = found.map((one) => `${one.ruleId} ${one.location[0]?.pointer}: ${one.message}`);
    expect(said).toEqual([]);
  });

  test("has nothing that Spectral's rules find", async () => {
    const found = await spectral.run(structuredClone(document) as Record<string, unknown>);
    const said = found.map((one) => `${String(one.code)} ${one.path.join("/")}: ${one.message}`);
    expect(said).toEqual([]);
  });
});

/** Something of the document of operations is changed, and a rule has to see it. */
const broken = (change: (document: Loose) => void): OpenApiDocument => {
  const copy = structuredClone(documents.operations);
  change(copy as unknown as Loose);
  return copy;
};

// Of a document that is to be broken, nothing need be known.
type Loose = Record<string, never> & {
  paths: Record<string, Record<string, Record<string, unknown>>>;
  components: {
    schemas: Record<string, { properties: Record<string, object>; examples: object[] }>;
  };
};

describe("the rules", () => {
  const list = (document: Loose) => document.paths["/v1/dead-letters"]?.get ?? {};

  test("find operations without a group or words, and parameters without", () => {
    const document = broken((one) => {
      Object.assign(list(one), { tags: ["Odd"], summary: "", parameters: [{ name: "limit" }] });
    });
    expect(checkOperations(document)).toEqual([
      "GET /v1/dead-letters has no summary",
      "GET /v1/dead-letters is not in one described group",
      "GET /v1/dead-letters does not say limit",
    ]);
  });

  test("find objects without a name, and properties without a description", () => {
    const inlined = { type: "object", properties: { id: { type: "integer" } } };
    const document = broken((one) => {
      Object.assign(one.components.schemas.Letter?.properties ?? {}, { state: inlined });
    });
    expect(checkSchemas(document)).toEqual([
      "components/schemas/Letter does not say state",
      "components/schemas/Letter/properties/state has no name",
      "components/schemas/Letter/properties/state does not say id",
    ]);
  });

  test("find errors that are no Problem, or do not say when to try again", () => {
    const content = { "application/json": { schema: { type: "string" } } };
    const document = broken((one) => {
      Object.assign(list(one).responses ?? {}, { 422: { content }, 503: { content } });
    });
    expect(checkErrors(document)).toEqual([
      "GET /v1/dead-letters 422 is no Problem",
      "GET /v1/dead-letters 503 is no Problem",
      "GET /v1/dead-letters 503 does not say when to try again",
    ]);
  });

  test("find operations that are open by mistake, or need what there is not", () => {
    const given = { isGuarded: true, scopes };
    const open = broken((one) => Object.assign(list(one), { security: [] }));
    const odd = broken((one) => Object.assign(list(one), { security: [{ key: ["odd"] }] }));
    expect(checkSecurity(open, given)).toEqual([
      "GET /v1/dead-letters is guarded or open by mistake",
    ]);
    expect(checkSecurity(odd, given)).toEqual([
      "GET /v1/dead-letters needs odd, which is no scope",
    ]);
  });

  test("find ids that could be anything", () => {
    const document = broken((one) => {
      const anything = { name: "id", in: "path", schema: { type: "string" } };
      Object.assign(one.paths["/v1/dead-letters/{id}"]?.get ?? {}, { parameters: [anything] });
    });
    expect(checkPaths(document)).toEqual([
      "GET /v1/dead-letters/{id} takes /v1/dead-letters/export",
      "GET /v1/dead-letters/{id} takes /v1/dead-letters/groups",
      "GET /v1/dead-letters/{id} takes /v1/dead-letters/bulk",
    ]);
  });

  test("find examples that are wrong, or missing", () => {
    const { components, ...document } = structuredClone(documents.shop);
    const { schemas } = components as Loose["components"];
    const { NewOrder, Cancellation, ...others } = schemas;
    const wrong = { ...Cancellation, examples: [{ reason: 7 }] };
    const bare = { ...NewOrder, examples: undefined };
    const changed = { schemas: { ...others, Cancellation: wrong, NewOrder: bare } };
    expect(checkExamples({ ...document, components: { ...components, ...changed } })).toEqual([
      "POST /v1/orders has no example of its body",
      "components/schemas/Cancellation: reason must be string",
    ]);
  });
});
