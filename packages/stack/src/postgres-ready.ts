/** Whether a Postgres answers a query, and waiting until it does. */

import { fault } from "@outrider/event";
import postgres from "postgres";
import { waitFor } from "./wait.ts";
import type { Wait } from "./wait.ts";

/** SQLSTATE: there is no such database. */
export const noDatabase = "3D000";

/** SQLSTATEs that no waiting will cure: the password is wrong, the role unknown. */
const refusals = ["28P01", "28000"];
const pollMs = 25;
const connectSeconds = 5;

/** Runs one statement over a connection of its own; throws what postgres.js throws. */
export const query = async (url: string, text: string): Promise<readonly postgres.Row[]> => {
  const sql = postgres(url, { max: 1, connect_timeout: connectSeconds, onnotice: () => {} });
  try {
    return await sql.unsafe(text);
  } finally {
    await sql.end({ timeout: 1 });
  }
};

/** What the server behind `url` was named when it was started. */
export const clusterNameOf = async (url: string): Promise<unknown> => {
  const [row] = await query(url, "select current_setting('cluster_name', true) as name");
  return row?.name;
};

export type PostgresWait = Omit<Wait, "what" | "pollMs"> &
  Readonly<{
    /** Asked before each try; throws to end the wait. */
    check?: () => void;
    /** Of the server that has to answer: another one on its port does not count. */
    clusterName?: string;
    /** Makes the database where it is missing; without it a missing one is a refusal. */
    createDatabase?: (url: string) => Promise<void>;
  }>;

/**
 * Waits for a real answer. Throws Fault `forbidden` when the server refuses us, `not_found` when
 * it has no such database, and `timeout` with the last error as its cause.
 */
export const waitForPostgres = async (url: string, wait: PostgresWait): Promise<void> => {
  await waitFor({ ...wait, what: "Postgres to answer", pollMs }, async () => {
    wait.check?.();
    try {
      const name = await clusterNameOf(url);
      return wait.clusterName === undefined || name === wait.clusterName ? "ready" : undefined;
    } catch (error) {
      const code = codeOf(error);
      if (code === noDatabase && wait.createDatabase) await wait.createDatabase(url);
      else if (code === noDatabase) {
        throw fault("not_found", "Postgres has no such database.", { cause: error });
      } else if (refusals.includes(code)) {
        throw fault("forbidden", "Postgres does not let us in.", { cause: error });
      }
      return undefined;
    }
  });
};

export const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "";
