/**
 * JSON lines on stdout, by pino. Fields have the names of docs/design.md: `eventId`, `handler`,
 * `attempt`, `shard`, `traceId`, `requestId`, and `err` for an error. Payloads are never logged:
 * fields that usually hold one are replaced, errors lose statement parameters, and passwords in
 * URLs and keys of the operations API are hidden wherever they stand.
 */

import { stackFrames, withoutParameters } from "@outrider/event";
import { pino } from "pino";
import type { DestinationStream, Logger } from "pino";

export type { Logger } from "pino";

export type LoggerSettings = Readonly<{
  name: string;
  level?: string;
  /** stdout when absent. */
  destination?: DestinationStream;
}>;

export const createLogger = ({ name, level = "info", destination }: LoggerSettings): Logger =>
  pino(
    {
      level,
      base: { name, pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError, error: describeError },
      redact: { paths: [...secrets, ...payloads], censor: "[hidden]" },
      hooks: { streamWrite: hideSecrets },
    },
    // Synchronous: the last lines before an exit are the ones that are looked for, in order.
    destination ?? pino.destination({ dest: 1, sync: true }),
  );

const everywhere = (name: string) => [name, `*.${name}`, `*.*.${name}`];
const secrets = ["authorization", "cookie", "password", "token"].flatMap(everywhere);
const payloads = ["data", "payload", "body"].flatMap(everywhere);

/** Passwords in URLs, and keys of the operations API. */
const hideSecrets = (line: string): string =>
  line
    .replace(/(\w:\/\/[^\s:/@"]*):[^\s/@"]+@/g, "$1:[hidden]@")
    .replace(/\bork_(\d+)_[\w-]{43}/g, "ork_$1_[hidden]");

/** Deep enough for a driver's error in an ORM's in ours. */
const causesMax = 5;

/**
 * An error without what it may quote of a payload: drizzle puts a statement's parameters into
 * the message, Postgres a row's values into `detail`.
 */
export const describeError = (error: unknown): unknown => {
  try {
    return describe(error, 0);
  } catch {
    // Somebody else's getter throws, and a line about an error must not be one more.
    return { type: "unreadable" };
  }
};

/** Longer texts of an error are cut: a message may quote megabytes. */
const messageCharsMax = 10_000;
const framesMax = 50;

const describe = (error: unknown, depth: number): unknown => {
  if (!(error instanceof Error)) return shortened(error);
  const { code, details } = error as { code?: unknown; details?: unknown };
  const message = String(error.message);
  const inner = error instanceof AggregateError ? error.errors : [];
  const deeper = depth < causesMax;
  return {
    type: error.name,
    message: shortened(withoutParameters(message)),
    ...(code !== undefined && { code: shortened(code) }),
    ...(hasKeys(details) && { details }),
    ...(error.stack && { stack: framesOf(error.stack, message) }),
    ...(deeper && error.cause !== undefined && { cause: describe(error.cause, depth + 1) }),
    ...(deeper && inner.length > 0 && { errors: inner.map((one) => describe(one, depth + 1)) }),
  };
};

/** What is thrown may be no error at all; only what a line can hold of it is told. */
const shortened = (value: unknown): unknown => {
  if (typeof value === "object" && value !== null)
    return `${Object.prototype.toString.call(value)}`;
  if (["number", "boolean", "undefined"].includes(typeof value) || value === null) return value;
  const text = String(value);
  return text.length > messageCharsMax ? `${text.slice(0, messageCharsMax)}…` : text;
};

const framesOf = (stack: string, message: string): string[] =>
  stackFrames(stack, message)
    .slice(0, framesMax)
    .map((line) => line.trim());

const hasKeys = (details: unknown): boolean =>
  typeof details === "object" && details !== null && Object.keys(details).length > 0;
