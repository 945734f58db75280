/**
 * Runs whose effects no transaction holds. Each is written down before it starts, in a transaction
 * of its own, and again when it has ended: one without an end says that nobody knows what has
 * happened outside.
 */

import type { Sql } from "@outrider/postgres";

export type ExternalAttempts = Readonly<{
  /** Returns which attempt of the event this is, from 1. */
  begin(handler: string, eventId: string): Promise<number>;
  /** `outcome`: `ok`, or a failure's code. Never throws: without an end it counts as unknown. */
  end(
    attempt: Readonly<{ handler: string; eventId: string; n: number; outcome: string }>,
  ): Promise<void>;
}>;

export const createExternalAttempts = (sql: Sql): ExternalAttempts => ({
  begin: async (handler, eventId) => {
    const [row] = await sql<{ attempt: number }[]>`
      insert into outrider.external_attempts (handler, event_id, attempt)
      select ${handler}, ${eventId}, coalesce(max(attempt), 0) + 1
      from outrider.external_attempts where handler = ${handler} and event_id = ${eventId}
      returning attempt`;
    if (!row) throw new Error("no row");
    return row.attempt;
  },
  end: async ({ handler, eventId, n, outcome }) => {
    await sql`
      update outrider.external_attempts
      set ended_at = clock_timestamp(), outcome = ${outcome}
      where handler = ${handler} and event_id = ${eventId} and attempt = ${n}`.catch(() => {});
  },
});
