/** Whether a connection that somebody else has opened says what outbox and inbox take it to say. */

import { fault, isFault } from "@outrider/event";
import { idleMs } from "./connect.ts";
import type { ConnectionSettings, Sql } from "./connect.ts";
import { required } from "./session-settings.ts";

/** Limits that a connection of ours begins with, and that a pooler does not pass on. */
export type Limits = Readonly<
  Required<Pick<ConnectionSettings, "statementTimeoutMs" | "lockTimeoutMs">>
>;

/**
 * Throws `settings_invalid` with every setting that is wrong and what it must be, or what Postgres
 * says where it cannot be asked. `limits` are asked for where there is a pooler: each must be set,
 * and be no longer.
 */
export const checkConnection = async (sql: Sql, limits?: Limits): Promise<void> => {
  const wrong = [...(await wrongSettings(sql)), ...(limits ? await wrongLimits(sql, limits) : [])];
  if (wrong.length === 0) return;
  const where = "Set it on the connection, or where ALTER DATABASE, ALTER ROLE or the URL sets it";
  throw fault("settings_invalid", `Invalid Postgres settings: ${wrong.join("; ")}. ${where}.`);
};

const wrongSettings = async (sql: Sql): Promise<string[]> => {
  const rows = await sql<{ name: string; value: string }[]>`
    select name, current_setting(name) as value
    from pg_catalog.unnest(${Object.keys(required)}::text[]) as asked (name)`.catch(refusedStart);
  return rows.flatMap(({ name, value }) => {
    const { mustBe, isRight } = required[name] ?? {};
    return !isRight || isRight(value) ? [] : [`${name} is "${value}", must be "${mustBe}"`];
  });
};

/** What PgBouncer answers to a connection that begins with settings. */
const refusedStart = (error: unknown): never => {
  const { message = "" } = error as { message?: string };
  const [, name] = /^unsupported startup parameter: (\S+)/.exec(message) ?? [];
  if (name === undefined) throw error;
  throw fault("settings_invalid", `A pooler at DATABASE_URL refuses ${name}. ${directly}`);
};

const wrongLimits = async (sql: Sql, limits: Limits): Promise<string[]> => {
  const maxMs: Readonly<Record<string, number>> = {
    statement_timeout: limits.statementTimeoutMs,
    lock_timeout: limits.lockTimeoutMs,
    idle_in_transaction_session_timeout: idleMs,
  };
  const rows = await sql<{ name: string; ms: number }[]>`
    select name, (extract(epoch from current_setting(name)::interval) * 1000)::float8 as ms
    from pg_catalog.unnest(${Object.keys(maxMs)}::text[]) as asked (name)`;
  return rows.flatMap(({ name, ms }) => {
    const most = maxMs[name] ?? 0;
    return ms > 0 && ms <= most ? [] : [`${name} is ${ms} ms, must be from 1 ms to ${most} ms`];
  });
};

/** The next step of who needs a connection of its own. */
export const directly = "Connect this process to Postgres itself, past the pooler.";

/**
 * Runs checks when a process starts. A database that cannot be asked is passed over: that is for
 * the health check to say, which asks again.
 */
export const checkAtStart = async (...checks: readonly (() => Promise<void>)[]): Promise<void> => {
  const asked = await Promise.allSettled(checks.map((check) => check()));
  const refused = asked.find(
    (one) => one.status === "rejected" && isFault(one.reason, "settings_invalid"),
  );
  if (refused?.status === "rejected") throw refused.reason;
};
