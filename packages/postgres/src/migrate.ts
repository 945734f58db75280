/**
 * Applies the SQL migrations of drizzle/platform, then those of every app's folder beside it, each
 * folder with its own journal in the schema `drizzle`. An advisory lock lets processes that start
 * together migrate once. Migrations are append-only: a process of the version before goes on to
 * work on the new tables.
 */

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { drizzle } from "drizzle-orm/postgres-js";
import { migrate } from "drizzle-orm/postgres-js/migrator";
import { createPoolerCheck } from "./check-pooler.ts";
import { connect } from "./connect.ts";
import type { Sql } from "./connect.ts";

/** The ASCII of "outrider" read as a bigint, so that the lock meets nobody else's by chance. */
const lockId = "8031453545228428658";

const journalSchema = "drizzle";

export type MigrateOptions = Readonly<{
  url: string;
  /** The folder that holds platform/ and one folder per app. */
  folder: string;
}>;

/** How many migrations were applied, over all folders. Throws what Postgres says. */
export const migrateAll = async (options: MigrateOptions): Promise<{ applied: number }> => {
  // The lock is one of a session.
  await createPoolerCheck(options.url)();
  const sql = connect({ url: options.url, name: "outrider-migrate", poolMax: 1 });
  try {
    await sql`select pg_advisory_lock(${lockId}::bigint)`;
    let applied = 0;
    for (const name of await journals(options.folder)) {
      const before = await countApplied(sql, name);
      await migrate(drizzle(sql), {
        migrationsFolder: join(options.folder, name),
        migrationsSchema: journalSchema,
        migrationsTable: name,
      });
      applied += (await countApplied(sql, name)) - before;
    }
    return { applied };
  } finally {
    // Closing the only connection releases the lock.
    await sql.end();
  }
};

/** The platform first: the apps' tables may refer to it. */
const journals = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { withFileTypes: true });
  const apps = entries.filter((entry) => entry.isDirectory() && entry.name !== "platform");
  return ["platform", ...apps.map((entry) => entry.name).sort()];
};

const countApplied = async (sql: Sql, journal: string): Promise<number> => {
  const table = `${journalSchema}.${journal}`;
  const [found] = await sql`select to_regclass(${table}) is not null as found`;
  if (!found?.found) return 0;
  const [row] = await sql`select count(*)::int as count from ${sql(journalSchema)}.${sql(journal)}`;
  return Number(row?.count);
};
