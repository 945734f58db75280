/**
 * Connections. Drizzle changes the parsers of the client that it is given (dates become strings),
 * so a process that also runs SQL of its own opens a second client for that.
 */

import { drizzle } from "drizzle-orm/postgres-js";
import type { PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres from "postgres";

/** A postgres.js client. */
export type Sql = postgres.Sql;

/** A drizzle database over postgres.js: a pool, not a transaction. */
export type Database = PostgresJsDatabase<Record<string, never>> & { $client: Sql };

/** An open transaction of a `Database`; a `Database` itself is not one and does not compile. */
export type Transaction = Parameters<Parameters<Database["transaction"]>[0]>[0];

export type ConnectionSettings = Readonly<{
  url: string;
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
  /** Further parameters of the server for these connections, such as the planner's. */
  parameters?: Readonly<Record<string, string>>;
}>;

export const connect = (settings: ConnectionSettings): Sql =>
  postgres(settings.url, {
    max: settings.poolMax ?? 10,
    connect_timeout: settings.connectTimeoutS ?? 3,
    // Postgres notices of a "does exist already" kind are not worth a line on stdout.
    onnotice: () => {},
    // Capped, so that a database that comes back is used again within a second or two.
    backoff: (attempt: number) => Math.min(0.1 * 2 ** attempt, 1),
    connection: {
      application_name: settings.name,
      // The fences of outbox and inbox are right in READ COMMITTED and wrong above it.
      default_transaction_isolation: "read committed",
      idle_in_transaction_session_timeout: settings.idleInTransactionTimeoutMs ?? 30_000,
      lock_timeout: settings.lockTimeoutMs ?? 0,
      statement_timeout: settings.statementTimeoutMs ?? 0,
      ...settings.parameters,
    },
  });

export const connectDatabase = (settings: ConnectionSettings): Database =>
  drizzle(connect(settings)) as Database;
