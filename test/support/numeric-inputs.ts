/** Requests made up from an OpenAPI document, each number of theirs at and over its limits. */

import { encode } from "../../packages/operations/src/page.ts";
import { operationsOf } from "./answer-check.ts";
import type { DescribedOperation, OpenApiDocument } from "./answer-check.ts";

export type NumericRequest = Readonly<{
  method: string;
  path: string;
  /** As JSON text, since not every number of JSON is one of JavaScript. */
  body?: string;
  /** Which input, and what it is. */
  what: string;
  /** The pointer to it, and whether the document allows it; absent: nobody says. */
  said?: Readonly<{ pointer: string; isAllowed: boolean }>;
}>;

type Schema = Readonly<{
  $ref?: string;
  type?: string;
  enum?: readonly unknown[];
  anyOf?: readonly Schema[];
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  items?: Schema;
  pattern?: string;
  minimum?: number;
  maximum?: number;
}>;

/** Far beyond each limit of the types of JavaScript, JSON and Postgres, and just beyond it. */
const far = [
  ...["0", "-0", "-1", "0.5", "1e-50", "5e-324", "1e-400", "-1e-50", "1e15", "1e300", "-1e300"],
  ...["1e400", "-1e400", "32768", "2147483647", "2147483648", "-2147483649", "3.5e38", "1e39"],
  ...["9007199254740991", "9007199254740993", "9223372036854775807", "9223372036854775808"],
];

export const numericRequests = (document: OpenApiDocument): NumericRequest[] =>
  operationsOf(document).flatMap((one) => [
    ...inBody(document, one),
    ...inQuery(one),
    ...inPath(one),
  ]);

type Described = Readonly<{ method: string; path: string; operation: DescribedOperation }>;

const uuid = "01890a5d-ac96-774b-bcce-b302099a8057";

const filled = (path: string, id = path.includes("events/{id}") ? uuid : "1"): string =>
  path.replaceAll(/\{\w+\}/g, encodeURIComponent(id));

const resolve = (document: OpenApiDocument, schema: Schema): Schema => {
  const steps = schema.$ref?.split("/").slice(1) ?? [];
  const found = steps.reduce((at: unknown, step) => Reflect.get(at as object, step), document);
  return schema.$ref ? (found as Schema) : schema;
};

type Leaf = Readonly<{ steps: readonly string[]; schema: Schema }>;

const leavesOf = (document: OpenApiDocument, given: Schema, steps: string[] = []): Leaf[] => {
  const schema = resolve(document, given);
  if (schema.type === "integer" || schema.type === "number") return [{ steps, schema }];
  const parts = Object.entries(schema.properties ?? {});
  if (schema.items) parts.push(["0", schema.items]);
  return parts.flatMap(([step, one]) => leavesOf(document, one, [...steps, step]));
};

const inBody = (document: OpenApiDocument, { method, path, operation }: Described) => {
  const schema = Object.values(operation.requestBody?.content ?? {})[0]?.schema as Schema;
  return schema
    ? leavesOf(document, schema).flatMap((leaf) =>
        [...around(leaf.schema), ...far].map((number) => {
          const pointer = leaf.steps.map((step) => `/${step}`).join("");
          const body = JSON.stringify(sampleOf(document, schema, leaf.steps)).replace(mark, number);
          const said = { pointer, isAllowed: isAllowed(leaf.schema, Number(number)) };
          return { method, path: filled(path), body, what: `${pointer} ${number}`, said };
        }),
      )
    : [];
};

/** At and just over both limits, which a number must have. */
const around = ({ minimum, maximum }: Schema): string[] => {
  if (minimum === undefined || maximum === undefined) throw new Error("A number has no limits");
  return [minimum, minimum - 1, minimum / 2, maximum, maximum + 1].map(String);
};

const isAllowed = ({ type, minimum = 0, maximum = 0 }: Schema, number: number): boolean =>
  number >= minimum && number <= maximum && (type === "number" || Number.isInteger(number));

const mark = '"the number"';
const texts = ["a", "EUR", "2026-01-31T12:00:00Z", uuid];

/** With what is required, what leads to the number, and all of what might be meant. */
const sampleOf = (document: OpenApiDocument, given: Schema, steps: readonly string[]): unknown => {
  const schema = resolve(document, given);
  const [step, ...rest] = steps;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return sampleOf(document, schema.anyOf[0] ?? {}, steps);
  if (schema.items) return [sampleOf(document, schema.items, rest)];
  if (schema.properties) {
    const isBulk = "filter" in schema.properties;
    const named = Object.entries(schema.properties).filter(
      ([name]) => name === step || schema.required?.includes(name) || (isBulk && name === "all"),
    );
    return Object.fromEntries(
      named.map(([name, one]) => [name, sampleOf(document, one, name === step ? rest : ["-"])]),
    );
  }
  if (schema.type === "boolean") return true;
  if (schema.type !== "string") return step === undefined ? JSON.parse(mark) : 1;
  return texts.find((text) => new RegExp(schema.pattern ?? "").test(text)) ?? "a";
};

const inQuery = ({ method, path, operation: { parameters = [] } }: Described) =>
  parameters
    .filter(({ in: place, name, schema }) => place === "query" && isNumeric(name, schema))
    .flatMap(({ name, schema }) => {
      const values = name === "cursor" ? cursors() : [...limits, ...far];
      return values.map((value) => {
        const said =
          name === "limit"
            ? { pointer: "/limit", isAllowed: new RegExp(String(schema.pattern)).test(value) }
            : undefined;
        const search = new URLSearchParams({ [name]: value });
        const what = `${name}=${value}`;
        return { method, path: `${filled(path)}?${search}`, what, ...(said && { said }) };
      });
    });

const isNumeric = (name: string, { pattern = "" }: Schema): boolean =>
  name === "cursor" || /\\d|0-9/.test(pattern);

const limits = ["1", "100", "101", "1000", "1001", "999999999999999", "1,2147483648", "01", " 1"];

/** Positions of every kind of list, none of which a list has given. */
const cursors = (): string[] => {
  const numbers = far.map(Number).filter(Number.isFinite);
  return [
    ...numbers.flatMap((n) => [[n], [n, 1], [1, n], ["a", "b", n]]),
    ...["\0", "\ud800", "x".repeat(2000)].flatMap((text) => [[text], [text, "b", 1]]),
  ].map(encode);
};

const inPath = ({ method, path }: Described) =>
  path.includes("{")
    ? far.map((number) => ({ method, path: filled(path, number), what: `in its path ${number}` }))
    : [];
