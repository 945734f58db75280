/**
 * The one error of the project. A Fault has a code from the table below, a message that may be
 * shown to anyone, private details for the log, and the error that caused it. What a code means
 * for HTTP stands in packages/http, what it means for a retry in packages/inbox.
 * Compare codes, never `instanceof`: two copies of this package may meet in one process.
 */

export const faultCodes = [
  // what a caller sent
  "malformed",
  "invalid",
  "unauthorized",
  "forbidden",
  "not_found",
  "method_not_allowed",
  "conflict",
  "too_large",
  "unsupported_media_type",
  "too_many_requests",
  "idempotency_key_reused",
  "idempotency_key_in_use",
  // what the writing side refuses
  "event_invalid",
  "event_too_large",
  "event_unknown",
  "topic_unknown",
  "emit_after_end",
  "transaction_ended",
  // what the reading side meets
  "undecodable",
  "version_unknown",
  "watermark_out_of_range",
  "handler_timeout",
  // the parts around us
  "unavailable",
  "timeout",
  "publish_failed",
  "lease_lost",
  "settings_invalid",
  "missing_tool",
  "already_running",
  "checksum_mismatch",
  "internal",
] as const;

export type FaultCode = (typeof faultCodes)[number];

/** One wrong field: `pointer` is an RFC 6901 JSON pointer into what was sent. */
export type FieldProblem = Readonly<{ pointer: string; detail: string }>;

export type FaultContext = Readonly<{
  /** Fields that were wrong; public. */
  problems?: readonly FieldProblem[];
  /** For logs only, never shown to a caller. */
  details?: Readonly<Record<string, unknown>>;
  /** When it makes sense to try again, in milliseconds from now; public. */
  retryAfterMs?: number;
  cause?: unknown;
}>;

export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: FaultCode;
  readonly problems: readonly FieldProblem[];
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryAfterMs: number | undefined;

  constructor(code: FaultCode, message: string, context: FaultContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.problems = context.problems ?? [];
    this.details = context.details ?? {};
    this.retryAfterMs = context.retryAfterMs;
  }
}

export const fault = (code: FaultCode, message: string, context?: FaultContext): Fault =>
  new Fault(code, message, context);

/** True when `error` is a Fault, of the given code where one is given. Never throws. */
export const isFault = (error: unknown, code?: FaultCode): error is Fault => {
  try {
    return (
      error instanceof Error &&
      error.name === "Fault" &&
      "code" in error &&
      (code === undefined ? typeof error.code === "string" : error.code === code)
    );
  } catch {
    // A getter of somebody else's error.
    return false;
  }
};
