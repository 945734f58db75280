/**
 * Answers for what went wrong: RFC 9457, `application/problem+json`. The only place that knows
 * which HTTP status a Fault's code has. A code that is not in the table is our own failure: 500,
 * without its message.
 */

import { fault } from "@outrider/event";
import type { Fault, FaultCode, FieldProblem } from "@outrider/event";

type Meaning = Readonly<{ status: number; title: string }>;

const meanings: Partial<Record<FaultCode, Meaning>> = {
  malformed: { status: 400, title: "Malformed request" },
  unauthorized: { status: 401, title: "Not authenticated" },
  forbidden: { status: 403, title: "Not allowed" },
  not_found: { status: 404, title: "Not found" },
  method_not_allowed: { status: 405, title: "Method not allowed" },
  conflict: { status: 409, title: "Conflict" },
  idempotency_key_in_use: { status: 409, title: "A request with this key is running" },
  too_large: { status: 413, title: "Body too large" },
  event_too_large: { status: 413, title: "Body too large" },
  unsupported_media_type: { status: 415, title: "Unsupported media type" },
  invalid: { status: 422, title: "Invalid fields" },
  idempotency_key_reused: { status: 422, title: "Key was used for another request" },
  too_many_requests: { status: 429, title: "Too many requests" },
  unavailable: { status: 503, title: "Unavailable for now" },
  timeout: { status: 504, title: "Took too long" },
};

const ownFailure: Meaning = { status: 500, title: "Internal error" };

export type Problem = Readonly<{
  /** Stable: `urn:outrider:problem:` and the code. */
  type: string;
  title: string;
  status: number;
  detail: string;
  /** The path that was asked for. */
  instance: string;
  errors?: readonly FieldProblem[];
  requestId: string;
}>;

type Asked = Readonly<{ path: string; requestId: string }>;

/** The problem a caller is told; nothing private of the fault is in it. */
export const problemOf = (refusal: Fault, asked: Asked): Problem => {
  const meaning = meanings[refusal.code];
  const { status, title } = meaning ?? ownFailure;
  return {
    type: `urn:outrider:problem:${meaning ? refusal.code : "internal"}`,
    title,
    status,
    detail: meaning ? refusal.message : "Something went wrong on our side",
    instance: asked.path,
    ...(meaning && refusal.problems.length > 0 && { errors: refusal.problems }),
    requestId: asked.requestId,
  };
};

export const problemResponse = (refusal: Fault, asked: Asked): Response => {
  const problem = problemOf(refusal, asked);
  const headers = new Headers({ "content-type": "application/problem+json" });
  if (refusal.retryAfterMs !== undefined) {
    headers.set("retry-after", String(Math.ceil(refusal.retryAfterMs / 1000)));
  }
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
};

/** What a caller is told with a status, for the OpenAPI document. */
export const exampleProblem = (status: number, detail: string): Problem => {
  const [code, meaning] = Object.entries(meanings).find(([, one]) => one.status === status) ?? [];
  return {
    type: `urn:outrider:problem:${code ?? "internal"}`,
    ...(meaning ?? ownFailure),
    detail,
    instance: "/v1/...",
    requestId: "01890a5d-ac96-774b-bcce-b302099a8057",
  };
};

/** A `Fault` of code `invalid`, one entry a field: the first thing that is wrong with it. */
export const invalid = (problems: readonly FieldProblem[]): Fault => {
  const first = new Map<string, FieldProblem>();
  for (const problem of problems) {
    if (!first.has(problem.pointer)) first.set(problem.pointer, problem);
  }
  const count = first.size === 1 ? "1 field is" : `${first.size} fields are`;
  return fault("invalid", `${count} not valid`, { problems: [...first.values()] });
};
