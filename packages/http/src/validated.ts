/**
 * Bodies and queries checked against a valibot schema, which also describes them in the OpenAPI
 * document. Throws `unsupported_media_type`, `malformed`, or `invalid` with a pointer a field.
 */

import { fault, problemsOf } from "@outrider/event";
import { uniqueSymbol, validator } from "hono-openapi";
import * as v from "valibot";
import { readJson } from "./json.ts";
import { invalid } from "./problem.ts";

/** An object whose fields are all known; what is missing or too much is named. */
export const fields = <const E extends v.ObjectEntries>(entries: E) =>
  v.strictObject(entries, (issue) => {
    if (issue.expected === "never") return "is not a known field";
    return issue.received === "undefined" ? "is missing" : "must be an object";
  });

type Checked = Readonly<{ success: boolean; error?: readonly unknown[] }>;

const refuseInvalid = (result: Checked): void => {
  if (result.success) return;
  // Valibot's own issues, which Standard Schema narrows to message and path.
  throw invalid(problemsOf((result.error ?? []) as v.BaseIssue<unknown>[]));
};

export const jsonBody = <S extends v.GenericSchema>(schema: S) => {
  const validate = validator("json", schema, refuseInvalid);
  const read: typeof validate = async (c, next) => {
    if (!/^application\/([\w.-]+\+)?json *(;|$)/i.test(c.req.header("content-type") ?? "")) {
      throw fault("unsupported_media_type", "The body must be application/json");
    }
    await readJson(c.req);
    return validate(c, next);
  };
  // What the OpenAPI document says of it.
  return Object.assign(read, { [uniqueSymbol]: Reflect.get(validate, uniqueSymbol) });
};

export const query = <S extends v.GenericSchema>(schema: S) =>
  validator("query", schema, refuseInvalid);
