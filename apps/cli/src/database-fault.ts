/** What goes wrong with a database, in one sentence with the next step, in place of a stack. */

import { fault, isFault } from "@outrider/event";
import type { FaultCode } from "@outrider/event";

type Told = readonly [code: FaultCode, sentence: string];

const away: Told = [
  "unavailable",
  "Postgres does not answer; start it, or correct the host and the port of DATABASE_URL",
];
const refused: Told = [
  "forbidden",
  "Postgres does not let us in; correct the user and the password of DATABASE_URL",
];

/** By the driver's code or the SQLSTATE. */
const sentences: Readonly<Record<string, Told>> = {
  ECONNREFUSED: away,
  ECONNRESET: away,
  ENOTFOUND: away,
  EAI_AGAIN: away,
  EHOSTUNREACH: away,
  ENETUNREACH: away,
  ETIMEDOUT: away,
  CONNECT_TIMEOUT: away,
  CONNECTION_CLOSED: away,
  CONNECTION_ENDED: away,
  "57P03": ["unavailable", "Postgres is starting or stopping; try again in a moment"],
  "53300": ["unavailable", "Postgres has no connection left; close some, or try again later"],
  "28P01": refused,
  "28000": refused,
  "3D000": [
    "not_found",
    "Postgres has no such database; create it, or correct the name in DATABASE_URL",
  ],
  "42501": [
    "forbidden",
    "The user of DATABASE_URL lacks a right; grant it, or name the owner of the tables",
  ],
  "25006": [
    "forbidden",
    "The database only lets itself be read; name the primary server in DATABASE_URL",
  ],
  "42P01": ["not_found", "The database lacks our tables; run `bun run migrate` on it first"],
  "3F000": ["not_found", "The database lacks our schema; run `bun run migrate` on it first"],
};

/** A Fault for what everybody may meet, else `error` itself. */
export const asDatabaseFault = (error: unknown): unknown => {
  if (isFault(error)) return error;
  // Drizzle wraps what the driver throws.
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const [code, sentence] = ("code" in at && sentences[String(at.code)]) || [];
    if (code) return fault(code, `${sentence} (${at.message.split("\n")[0]}).`, { cause: error });
  }
  return error;
};

/** What `work` gives; throws as `asDatabaseFault` says. */
export const orDatabaseFault = <T>(work: Promise<T>): Promise<T> =>
  work.catch((error: unknown) => {
    throw asDatabaseFault(error);
  });
