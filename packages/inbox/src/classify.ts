/**
 * What a handler's failure means for its event. The first line that fits decides. A handler may
 * throw anything, so nothing here trusts what was thrown: however large it is and whatever its
 * properties do, it is classified, and what is kept of it fits every column.
 */

import { isFault, stackFrames, withoutParameters } from "@outrider/event";
import type { FaultCode } from "@outrider/event";

/**
 * - `transient`: something that the event needs is away. It counts for nobody.
 * - `deployment`: the handler is too old for the event, which waits. It counts for nobody.
 * - `retryable`: this event failed; it is tried again, so many times.
 * - `fatal`: trying again cannot help.
 */
export type FailureKind = "transient" | "deployment" | "retryable" | "fatal";

export type Classified = Readonly<{ kind: FailureKind; code: string; message: string }>;

/** What the code of a Fault says, whoever has thrown it. */
const faults: Readonly<Partial<Record<FaultCode, FailureKind>>> = {
  unavailable: "transient",
  too_many_requests: "transient",
  version_unknown: "deployment",
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

/** Data exceptions, constraints, limits of the server: the same values are refused again. */
export const isRefused = (error: unknown): boolean =>
  /^(22|23|54)[0-9A-Z]{3}$/.test(textOf(read(error, "code"), codeCharsMax));

/** Looks through causes, since libraries wrap what happened. */
const causesMax = 5;
/** What is kept of an error. Code and fingerprint stand in indexes, whose entries are small. */
const messageCharsMax = 10_000;
const codeCharsMax = 100;
const fingerprintCharsMax = 500;

export const classify = (error: unknown): Classified => {
  const message = messageOf(error);
  for (let cause = error, depth = 0; cause && depth < causesMax; depth += 1) {
    const [code, status] = [read(cause, "code"), read(cause, "status")];
    const kind = isFault(cause)
      ? (faults[cause.code] ?? "retryable")
      : (kindOfCode(code) ?? kindOfStatus(status));
    if (kind) return { kind, code: textOf(code ?? status, codeCharsMax), message };
    cause = read(cause, "cause");
  }
  return { kind: "retryable", code: nameOf(error), message };
};

/** When the failure says to try again, in milliseconds; of any size, and not yet to be trusted. */
export const askedDelayOf = (error: unknown): number | undefined => {
  const asked = isFault(error) ? read(error, "retryAfterMs") : undefined;
  return typeof asked === "number" ? asked : undefined;
};

/** A property of anything; undefined where its getter throws. */
const read = (from: unknown, name: string): unknown => {
  try {
    return (from as Record<string, unknown> | null | undefined)?.[name];
  } catch {
    return undefined;
  }
};

/**
 * Anything as text of at most so many characters. Postgres refuses a zero and half a character, and
 * then no outcome of the event could be stored, ever.
 */
const textOf = (value: unknown, charsMax: number): string => {
  try {
    const text = typeof value === "string" ? value : String(value);
    const short = text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text;
    return short.replaceAll("\0", "\uFFFD").toWellFormed();
  } catch {
    return "unreadable";
  }
};

const isError = (value: unknown): boolean => {
  try {
    return value instanceof Error;
  } catch {
    return false;
  }
};

/** Of a query that drizzle could not run, its cause's, which says why. */
const messageOf = (error: unknown): string => {
  const isOfQuery = read(error, "params") !== undefined && isError(read(error, "cause"));
  const told = isOfQuery ? read(error, "cause") : error;
  return withoutParameters(textOf(isError(told) ? read(told, "message") : told, messageCharsMax));
};

const nameOf = (error: unknown): string =>
  textOf(isError(error) ? read(error, "name") : typeof error, codeCharsMax);

const kindOfCode = (code: unknown): FailureKind | undefined =>
  typeof code === "string" ? codes.find(([pattern]) => pattern.test(code))?.[1] : undefined;

/** Of an HTTP answer. */
const kindOfStatus = (status: unknown): FailureKind | undefined =>
  status === 429 || status === 503 ? "transient" : undefined;

/** What letters are grouped by: where and of what, without what differs from event to event. */
export const fingerprintOf = (handler: string, { code, message }: Classified, error: unknown) =>
  textOf(
    [handler, code, normalized(message), ownFrame(error)].filter(Boolean).join(" | "),
    fingerprintCharsMax,
  );

const normalized = (message: string): string =>
  message
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/gi, "<id>")
    .replace(/\d+/g, "<n>")
    .replace(/(["'`]).*?\1/g, "<text>")
    .slice(0, 200);

/** A longer line of a stack is passed over. */
const frameCharsMax = 500;

/** The first line of the stack that is neither a package's nor the runtime's; without numbers. */
const ownFrame = (error: unknown): string => {
  const stack = isError(error) ? read(error, "stack") : undefined;
  if (typeof stack !== "string") return "";
  const message = read(error, "message");
  const own = stackFrames(stack, typeof message === "string" ? message : "")
    .filter((line) => line.length < frameCharsMax)
    .find((line) => !/node_modules|node:|native:/.test(line));
  const [, path = ""] = /([^/\\(]+\.[cm]?[jt]s)/.exec(own ?? "") ?? [];
  const [, name = ""] = /at (?:async )?([\w.<>$]+) \(/.exec(own ?? "") ?? [];
  return [name, path].filter(Boolean).join(" ");
};
