/** Any error as a Fault: ours as they are, Hono's and the database driver's translated. */

import { fault, isFault } from "@outrider/event";
import type { Fault, FaultCode } from "@outrider/event";
import { HTTPException } from "hono/http-exception";

export const asFault = (error: unknown): Fault => {
  if (isFault(error)) return error;
  // The one that Hono's validator throws.
  if (error instanceof HTTPException && error.status === 400) {
    return fault("malformed", "The body is not valid JSON", { cause: error });
  }
  return databaseFault(error) ?? fault("internal", "An unexpected error", { cause: error });
};

const retryAfterMs = 2000;

/**
 * `unavailable` when the database is away or has no room, `timeout` when it took too long, nothing
 * for its other errors. Drizzle wraps the driver's error, so causes are looked at too.
 */
const databaseFault = (error: unknown): Fault | undefined => {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; depth++) {
    const code = "code" in cause ? codeFor(String(cause.code)) : undefined;
    if (code === "unavailable") {
      return fault(code, "The database cannot be reached", { cause: error, retryAfterMs });
    }
    if (code === "timeout") return fault(code, "The database took too long", { cause: error });
    cause = cause.cause;
  }
  return undefined;
};

const away = new Set([
  // postgres.js
  "CONNECT_TIMEOUT",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  // the socket
  "ECONNREFUSED",
  "ECONNRESET",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
  "ETIMEDOUT",
]);

/**
 * SQLSTATE: class 08 connection, 53 no room, 57P0x shut down or starting, 25006 a standby after a
 * failover, 40001 and 40P01 lost against another transaction. All pass when asked again.
 */
const awayStates = /^(08...|53...|57P0.|25006|40001|40P01)$/;

/** Statement, lock, idle and transaction time limits. */
const lateStates = /^(57014|55P03|25P03|25P04)$/;

const codeFor = (code: string): FaultCode | undefined => {
  if (away.has(code) || awayStates.test(code)) return "unavailable";
  return lateStates.test(code) ? "timeout" : undefined;
};
