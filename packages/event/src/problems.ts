/** What a schema has found, as a Fault tells it. */

import type * as v from "valibot";
import type { FieldProblem } from "./fault.ts";

/** Valibot's issues as field problems with JSON pointers (RFC 6901). */
export const problemsOf = (issues: readonly v.BaseIssue<unknown>[]): FieldProblem[] =>
  issues.map((issue) => ({ pointer: pointerOf(issue), detail: issue.message }));

const pointerOf = (issue: v.BaseIssue<unknown>): string =>
  (issue.path ?? [])
    .map((item) => `/${String(item.key).replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");
