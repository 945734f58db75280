/** What a handler's failure means for its event. The first line that fits decides. */

import { isFault } from "@outrider/event";
import type { FaultCode } from "@outrider/event";

/**
 * - `transient`: something that the event needs is away. It counts for nobody.
 * - `retryable`: this event failed; it is tried again, so many times.
 * - `fatal`: trying again cannot help.
 */
export type FailureKind = "transient" | "retryable" | "fatal";

export type Classified = Readonly<{ kind: FailureKind; code: string; message: string }>;

/** What the code of a Fault says, whoever has thrown it. */
const faults: Readonly<Partial<Record<FaultCode, FailureKind>>> = {
  unavailable: "transient",
  too_many_requests: "transient",
  undecodable: "fatal",
  event_invalid: "fatal",
  event_unknown: "fatal",
  event_too_large: "fatal",
  topic_unknown: "fatal",
  malformed: "fatal",
  invalid: "fatal",
  forbidden: "fatal",
  not_found: "retryable",
  conflict: "retryable",
};

/** Postgres' SQLSTATE by class or code, and the codes of sockets. */
const codes: readonly (readonly [RegExp, FailureKind])[] = [
  // serialization failure, deadlock, lock not available
  [/^(40001|40P01|55P03)$/, "transient"],
  // connection exceptions, insufficient resources, operator intervention, system errors
  [/^(08|53|57|58)[0-9A-Z]{3}$/, "transient"],
  [/^CONNECT(ION)?_/, "transient"],
  [/^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|EAI_AGAIN)$/, "transient"],
  // data that the database refuses, and will refuse again
  [/^(22|23)[0-9A-Z]{3}$/, "retryable"],
];

/** Looks through causes, since libraries wrap what happened. */
const causesMax = 5;

export const classify = (error: unknown): Classified => {
  const message = asText(error instanceof Error ? error.message : String(error));
  for (let cause = error, depth = 0; cause && depth < causesMax; depth += 1) {
    const { code, status } = cause as { code?: unknown; status?: unknown };
    const kind = isFault(cause)
      ? (faults[cause.code] ?? "retryable")
      : (kindOfCode(code) ?? kindOfStatus(status));
    if (kind) return { kind, code: asText(String(code ?? status)), message };
    ({ cause } = cause as { cause?: unknown });
  }
  return { kind: "retryable", code: asText(nameOf(error)), message };
};

/** Postgres refuses a zero, and then no outcome of the event could be stored, ever. */
const asText = (text: string): string => text.replaceAll("\0", "\uFFFD");

const kindOfCode = (code: unknown): FailureKind | undefined =>
  typeof code === "string" ? codes.find(([pattern]) => pattern.test(code))?.[1] : undefined;

/** Of an HTTP answer. */
const kindOfStatus = (status: unknown): FailureKind | undefined =>
  status === 429 || status === 503 ? "transient" : undefined;

const nameOf = (error: unknown): string => (error instanceof Error ? error.name : typeof error);

/** What letters are grouped by: where and of what, without what differs from event to event. */
export const fingerprintOf = (handler: string, { code, message }: Classified, error: unknown) =>
  [handler, code, normalized(message), ownFrame(error)].filter(Boolean).join(" | ");

const normalized = (message: string): string =>
  message
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/gi, "<id>")
    .replace(/\d+/g, "<n>")
    .replace(/(["'`]).*?\1/g, "<text>")
    .slice(0, 200);

/** The first line of the stack that is neither a package's nor the runtime's; without numbers. */
const ownFrame = (error: unknown): string => {
  if (!(error instanceof Error)) return "";
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  const own = frames.find((line) => !/node_modules|node:|native:/.test(line)) ?? "";
  const [, path = ""] = /([^/\\(]+\.[cm]?[jt]s)/.exec(own) ?? [];
  const [, name = ""] = /at (?:async )?([\w.<>$]+) \(/.exec(own) ?? [];
  return [name, path].filter(Boolean).join(" ");
};
