/**
 * Connections. Drizzle changes the parsers of the client that it is given (dates become strings),
 * so a process that also runs SQL of its own opens a second client for that.
 */

import { drizzle } from "drizzle-orm/postgres-js";
import type { PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres from "postgres";
import { passedOn, pinned, usual } from "./session-settings.ts";

/** A postgres.js client. */
export type Sql = postgres.Sql;

/** A drizzle database over postgres.js: a pool, not a transaction. */
export type Database = PostgresJsDatabase<Record<string, never>> & { $client: Sql };

/** An open transaction of a `Database`; a `Database` itself is not one and does not compile. */
export type Transaction = Parameters<Parameters<Database["transaction"]>[0]>[0];

/** What stands between a process and Postgres. */
export type Pooler = "none" | "transaction";

export type ConnectionSettings = Readonly<{
  url: string;
  /**
   * `transaction`: a pooler, such as PgBouncer, that gives each transaction whichever connection to
   * Postgres is free. Statements are not prepared then, and settings of a connection are those of
   * its role: none of the limits and parameters below is sent, and `checkConnection` asks for them.
   */
  pooler?: Pooler;
  /** Shown in pg_stat_activity. */
  name: string;
  /** Connections of the pool. */
  poolMax?: number;
  /** How long to wait for a connection before the caller is told, seconds. */
  connectTimeoutS?: number;
  /** A transaction that waits for its client longer than this is rolled back by the server. */
  idleInTransactionTimeoutMs?: number;
  /** Zero: no limit. */
  lockTimeoutMs?: number;
  /** Zero: no limit. */
  statementTimeoutMs?: number;
  /** Further parameters of the server, such as the planner's; what is pinned stays pinned. */
  parameters?: Readonly<Record<string, string>>;
}>;

export const connect = (settings: ConnectionSettings): Sql => {
  const isPooled = settings.pooler === "transaction";
  const sql = postgres(settings.url, {
    ...(isPooled && oneByOne),
    max: settings.poolMax ?? 10,
    connect_timeout: settings.connectTimeoutS ?? 3,
    // Postgres notices of a "does exist already" kind are not worth a line on stdout.
    onnotice: () => {},
    // Capped, so that a database that comes back is used again within a second or two.
    backoff: (attempt: number) => Math.min(0.1 * 2 ** attempt, 1),
    connection: {
      application_name: settings.name,
      ...(!isPooled && { ...usual, ...timeoutsOf(settings), ...settings.parameters }),
    },
  });
  pin(sql, isPooled ? passedOn : pinned);
  return sql;
};

/**
 * A pooler may give the connection to Postgres away once a statement has been answered, and with it
 * the beginning of the next one that was sent behind it: both then wait for ever (porsager/postgres
 * 970). That `max_pipeline` may be 0 is a repair of ours (patches/).
 */
const oneByOne = { prepare: false, max_pipeline: 0 };

/** As texts: the driver leaves out what is falsy, and the server's own limit would hold. */
const timeoutsOf = (settings: ConnectionSettings): Record<string, string> => ({
  idle_in_transaction_session_timeout: String(settings.idleInTransactionTimeoutMs ?? idleMs),
  lock_timeout: String(settings.lockTimeoutMs ?? 0),
  statement_timeout: String(settings.statementTimeoutMs ?? 0),
});

/** Of a transaction, unless it is said otherwise. */
export const idleMs = 30_000;

/** In what the driver has made of the settings, since it prefers parameters of the URL. */
const pin = ({ options }: Sql, values: Readonly<Record<string, string>>): void => {
  const parameters: Record<string, unknown> = options.connection;
  const names = new Set(Object.keys(pinned).map((name) => name.toLowerCase()));
  for (const name of Object.keys(parameters)) {
    if (names.has(name.toLowerCase())) delete parameters[name];
  }
  Object.assign(parameters, values);
};

export const connectDatabase = (settings: ConnectionSettings): Database =>
  drizzle(connect(settings)) as Database;
