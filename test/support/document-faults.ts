/** What an OpenAPI document owes its readers. Each rule gives sentences about what is missing. */

import addFormats from "ajv-formats";
import { Ajv2020 } from "ajv/dist/2020.js";
import { operationsOf, pointerOf } from "./answer-check.ts";
import type { OpenApiDocument } from "./answer-check.ts";

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

/** Every object of the document, with the way to it; values of examples are none of its own. */
const walk = function* (value: unknown, way: readonly string[] = []): Generator<[string[], Json]> {
  if (!isObject(value)) return;
  yield [[...way], value];
  for (const [key, inner] of Object.entries(value)) {
    const isExample = ["example", "examples", "default", "enum"].includes(key);
    if (!isExample || way.at(-1) === "properties") yield* walk(inner, [...way, key]);
  }
};

const refer = (document: OpenApiDocument, { $ref, ...rest }: Json): Json => {
  if (typeof $ref !== "string") return rest;
  const steps = $ref.slice(2).split("/");
  const found = steps.reduce<unknown>(
    (at, step) => (isObject(at) ? at[step] : undefined),
    document,
  );
  return isObject(found) ? { ...found, ...rest } : {};
};

/** Every operation has one group that the document describes, a name, a summary, and more words. */
export const checkOperations = (document: OpenApiDocument): string[] => {
  const tags = new Map(document.tags?.map(({ name, description }) => [name, description]));
  const used = operationsOf(document).flatMap(({ operation }) => operation.tags ?? []);
  return [
    ...[...tags.keys()].filter((tag) => !used.includes(tag)).map((tag) => `${tag} has nothing`),
    ...operationsOf(document).flatMap(({ method, path, operation }) => {
      const {
        operationId,
        summary,
        description,
        parameters = [],
        tags: [tag = ""] = [],
      } = operation;
      return [
        ...(operationId ? [] : ["has no operationId"]),
        ...(summary ? [] : ["has no summary"]),
        ...(description ? [] : ["has no description"]),
        ...(tags.get(tag) && operation.tags?.length === 1 ? [] : ["is not in one described group"]),
        ...parameters.filter((one) => !one.description).map(({ name }) => `does not say ${name}`),
      ].map((what) => `${method} ${path} ${what}`);
    }),
  ];
};

/** Every property is described, and every object has a name: it stands once in the document. */
export const checkSchemas = (document: OpenApiDocument): string[] =>
  [...walk(document)].flatMap(([way, schema]) => {
    const where = way.join("/");
    const isNamed = way.length === 3 && where.startsWith("components/schemas/");
    const { properties, description } = schema;
    return [
      ...(isNamed && !description ? [`${where} has no description`] : []),
      ...(isObject(properties) && !isNamed && !isSmall(properties) ? [`${where} has no name`] : []),
      ...Object.entries(isObject(properties) ? properties : {})
        .filter(([, one]) => !isObject(one) || !refer(document, one).description)
        .map(([name]) => `${where} does not say ${name}`),
    ];
  });

/** Bytes in a header. */
const isSmall = (properties: Json): boolean => Object.keys(properties).join() === "base64";

/** Every error is a Problem. Only a request that never came to the app has no body. */
export const checkErrors = (document: OpenApiDocument): string[] =>
  operationsOf(document).flatMap(({ method, path, operation }) =>
    Object.entries(operation.responses)
      .filter(([status]) => /^[45]/.test(status))
      .flatMap(([status, response]) => {
        const { content, headers = {} } = response;
        const contents = JSON.stringify(Object.entries(content ?? {}).map(schemaOf));
        const isRight = status === "431" ? !content : contents === JSON.stringify([problem]);
        const isSilent = ["429", "503"].includes(status) && !("Retry-After" in headers);
        return [
          ...(isRight ? [] : [`${method} ${path} ${status} is no Problem`]),
          ...(isSilent ? [`${method} ${path} ${status} does not say when to try again`] : []),
        ];
      }),
  );

const problem = ["application/problem+json", { $ref: "#/components/schemas/Problem" }];
const schemaOf = ([type, { schema }]: [string, Readonly<{ schema: object }>]) => [type, schema];

/** Keys: an operation that needs one says which scope, and what happens without it. */
export const checkSecurity = (
  document: OpenApiDocument,
  { isGuarded, scopes }: Readonly<{ isGuarded: boolean; scopes: readonly string[] }>,
): string[] =>
  operationsOf(document).flatMap(({ method, path, operation }) => {
    const { security = document.security ?? [], responses } = operation;
    const needed = security.flatMap((one) => Object.values(one).flat());
    const unknown = needed.filter((scope) => !scopes.includes(scope));
    const ofKeys = isGuarded ? ["401", "403", "429"] : ["401", "403"];
    const answers = ofKeys.filter((status) => status in responses);
    return [
      ...(isGuarded === needed.length > 0 ? [] : ["is guarded or open by mistake"]),
      ...unknown.map((scope) => `needs ${scope}, which is no scope`),
      ...(answers.length === (isGuarded ? ofKeys.length : 0)
        ? []
        : [`says of keys: ${answers.join()}`]),
    ].map((what) => `${method} ${path} ${what}`);
  });

/** What is spelt out in one path is no value of another one's parameter. */
export const checkPaths = (document: OpenApiDocument): string[] => {
  const paths = Object.keys(document.paths);
  return operationsOf(document).flatMap(({ method, path, operation }) => {
    const steps = path.split("/");
    return paths.flatMap((other) => {
      const others = other.split("/");
      if (other === path || others.length !== steps.length) return [];
      const differing = steps.flatMap((step, at) => (step === others[at] ? [] : [at]));
      const isTaken = differing.every((at) => {
        const name = /^\{(.+)\}$/.exec(steps[at] ?? "")?.[1];
        const found = operation.parameters?.find((one) => one.in === "path" && one.name === name);
        return found && new RegExp(String(found.schema.pattern ?? "")).test(others[at] ?? "");
      });
      return isTaken ? [`${method} ${path} takes ${other}`] : [];
    });
  });
};

/** Examples are what their schemas say, and every body that is sent has one. */
export const checkExamples = (document: OpenApiDocument): string[] => {
  const bodies = operationsOf(document).flatMap(({ method, path, operation }) => {
    const [content] = Object.values(operation.requestBody?.content ?? {});
    const isWithout = content && !refer(document, content.schema as Json).examples;
    return isWithout ? [`${method} ${path} has no example of its body`] : [];
  });
  const given = [...walk(document)].flatMap(([way, { example, examples, schema }]) => [
    ...(example !== undefined && isObject(schema) ? [{ way: wayOf(way, schema), example }] : []),
    ...(Array.isArray(examples) ? examples.map((one: unknown) => ({ way, example: one })) : []),
  ]);
  return [...bodies, ...wrongOf(document, given)];
};

/** What is only a name is what it names. */
const wayOf = (way: readonly string[], { $ref }: Json): readonly string[] =>
  typeof $ref === "string" ? $ref.slice(2).split("/") : [...way, "schema"];

type Example = Readonly<{ way: readonly string[]; example: unknown }>;

/** One schema of all is compiled, each part of it once: to compile one for each takes 2 s. */
const wrongOf = (document: OpenApiDocument, given: readonly Example[]): string[] => {
  const ajv = new Ajv2020({ strict: false, allErrors: true, code: { optimize: false } });
  addFormats.default(ajv);
  ajv.addSchema(document, "document", false, false);
  const bySchema = [...Map.groupBy(given, ({ way }) => pointerOf(way))];
  const parts = bySchema.map(([pointer]) => ({ items: { $ref: `document#${pointer}` } }));
  const validate = ajv.compile({ properties: { ...parts } });
  validate({ ...bySchema.map(([, examples]) => examples.map(({ example }) => example)) });
  return (validate.errors ?? []).map(({ instancePath, message }) => {
    const [, at = "", , ...steps] = instancePath.split("/");
    return `${bySchema[Number(at)]?.[1][0]?.way.join("/")}: ${steps.join("/")} ${message}`;
  });
};
