/** Whether a connection that somebody else has opened says what outbox and inbox take it to say. */

import { fault, isFault } from "@outrider/event";
import type { Sql } from "./connect.ts";
import { required } from "./session-settings.ts";

/**
 * Throws `settings_invalid` with every setting that is wrong and what it must be, or what Postgres
 * says where it cannot be asked.
 */
export const checkConnection = async (sql: Sql): Promise<void> => {
  const rows = await sql<{ name: string; value: string }[]>`
    select name, current_setting(name) as value
    from pg_catalog.unnest(${Object.keys(required)}::text[]) as asked (name)`;
  const wrong = rows.flatMap(({ name, value }) => {
    const { mustBe, isRight } = required[name] ?? {};
    return !isRight || isRight(value) ? [] : [`${name} is "${value}", must be "${mustBe}"`];
  });
  if (wrong.length === 0) return;
  const where = "Set it on the connection, or where ALTER DATABASE, ALTER ROLE or the URL sets it";
  throw fault("settings_invalid", `Invalid Postgres settings: ${wrong.join("; ")}. ${where}.`);
};

/**
 * As `checkConnection`, for a process that starts. A database that cannot be asked is passed over:
 * that is for the health check to say, which asks again.
 */
export const checkAtStart = async (...clients: readonly Sql[]): Promise<void> => {
  const asked = await Promise.allSettled(clients.map(checkConnection));
  const refused = asked.find(
    (one) => one.status === "rejected" && isFault(one.reason, "settings_invalid"),
  );
  if (refused?.status === "rejected") throw refused.reason;
};
