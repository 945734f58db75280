/**
 * Bodies and queries checked against a valibot schema, which also describes them in the OpenAPI
 * document. Throws `unsupported_media_type`, `malformed`, or `invalid` with a pointer a field.
 */

import { fault, problemsOf } from "@outrider/event";
import { validator } from "hono-openapi";
import * as v from "valibot";
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

export const jsonBody = <S extends v.GenericSchema>(schema: S) =>
  validator("json", schema, (result, c) => {
    const type = c.req.header("content-type") ?? "";
    // Hono takes a body of another type for an empty one.
    if (!/^application\/([\w.-]+\+)?json *(;|$)/i.test(type)) {
      throw fault("unsupported_media_type", "The body must be application/json");
    }
    refuseInvalid(result);
  });

export const query = <S extends v.GenericSchema>(schema: S) =>
  validator("query", schema, refuseInvalid);
