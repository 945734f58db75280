/** Compares answers with what an OpenAPI document says of them. */

import addFormats from "ajv-formats";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { ValidateFunction } from "ajv/dist/2020.js";

type Parameter = Readonly<{
  name: string;
  in: "path" | "query" | "header";
  description?: string;
  required?: boolean;
  schema: Readonly<Record<string, unknown>>;
}>;

type Content = Readonly<Record<string, Readonly<{ schema: object }>>>;

export type DescribedOperation = Readonly<{
  operationId: string;
  tags?: readonly string[];
  summary?: string;
  description?: string;
  security?: readonly Readonly<Record<string, readonly string[]>>[];
  parameters?: readonly Parameter[];
  requestBody?: Readonly<{ content: Content }>;
  responses: Readonly<Record<string, Readonly<{ content?: Content; headers?: object }>>>;
}>;

export type OpenApiDocument = Readonly<{
  openapi: string;
  tags?: readonly Readonly<{ name: string; description: string }>[];
  security?: DescribedOperation["security"];
  paths: Readonly<Record<string, Readonly<Record<string, DescribedOperation>>>>;
  components?: object;
}>;

type Answer = Readonly<{
  status: number;
  headers: Readonly<{ get(name: string): string | null }>;
  text(): Promise<string>;
}>;

/** All operations, with method and path pattern. */
export const operationsOf = (document: OpenApiDocument) =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      operation,
    })),
  );

/** Throws where an answer is not as it is described, or is not described at all. */
export const createAnswerCheck = (document: OpenApiDocument) => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, "document");
  const validators = new Map<string, ValidateFunction>();
  const validatorOf = (pointer: string): ValidateFunction => {
    const found = validators.get(pointer) ?? ajv.compile({ $ref: `document#${pointer}` });
    validators.set(pointer, found);
    return found;
  };

  return async (method: string, path: string, response: Answer): Promise<void> => {
    const { pathname } = new URL(path, "http://test");
    const found = findOperation(document, method, pathname);
    if (!found) return;
    const { pattern, operation } = found;
    const what = `${method} ${pathname}, ${response.status}`;
    const described = operation.responses[String(response.status)];
    if (!described)
      throw new Error(`${what}: ${operation.operationId} does not say that it may be`);
    const [type] = (response.headers.get("content-type") ?? "").split(";");
    const content = described.content;
    if (!content) return;
    if (!type || !content[type]) throw new Error(`${what}: ${type} is not what it is to be`);
    if (type === "text/event-stream") return;
    const steps = ["paths", pattern, method.toLowerCase(), "responses", String(response.status)];
    const validate = validatorOf(pointerOf([...steps, "content", type, "schema"]));
    const text = await response.text();
    // Of lines, the schema says what each of them is.
    const parts = type === "application/x-ndjson" ? text.split("\n").filter(Boolean) : [text];
    for (const part of parts) {
      if (validate(JSON.parse(part))) continue;
      throw new Error(`${what}: ${ajv.errorsText(validate.errors)}`);
    }
  };
};

/** RFC 6901, within the fragment of a URI. */
export const pointerOf = (steps: readonly string[]): string =>
  steps
    .map((step) => `/${encodeURIComponent(step.replaceAll("~", "~0").replaceAll("/", "~1"))}`)
    .join("");

const findOperation = (document: OpenApiDocument, method: string, path: string) => {
  const matching = Object.keys(document.paths).filter((pattern) =>
    new RegExp(`^${pattern.replaceAll(/\{[^}]+\}/g, "[^/]+")}$`).test(path),
  );
  // What is spelt out comes before what is not.
  const [pattern] = matching.toSorted((a, b) => a.split("{").length - b.split("{").length);
  const operation = pattern && document.paths[pattern]?.[method.toLowerCase()];
  return pattern && operation ? { pattern, operation } : undefined;
};
