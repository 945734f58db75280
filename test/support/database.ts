/**
 * A database of its own for a test file: a clone of a template that was migrated once. Templates
 * are named after what is in drizzle/, so a changed migration makes a new one.
 */

import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connect } from "@outrider/postgres";
import { migrateAll } from "@outrider/postgres/migrate";
import type { Sql } from "@outrider/postgres";

const folder = join(import.meta.dirname, "../../drizzle");

export type TestDatabase = Readonly<{ url: string; drop(): Promise<void> }>;

/** Throws one sentence when DATABASE_URL is missing. */
export const createTestDatabase = async (): Promise<TestDatabase> => {
  const serverUrl = process.env.DATABASE_URL;
  if (!serverUrl) {
    throw new Error("DATABASE_URL must name a Postgres for tests; `bun run test` starts one");
  }
  const name = `outrider_test_${randomBytes(6).toString("hex")}`;
  await withServer(serverUrl, async (sql) => {
    const template = await ensureTemplate(sql, serverUrl);
    await sql`create database ${sql(name)} template ${sql(template)}`;
  });
  return {
    url: urlOf(serverUrl, name),
    drop: () =>
      withServer(serverUrl, async (sql) => {
        await sql`drop database if exists ${sql(name)} with (force)`;
      }),
  };
};

const withServer = async (url: string, run: (sql: Sql) => Promise<void>): Promise<void> => {
  const sql = connect({ url, name: "outrider-test", poolMax: 1 });
  try {
    await run(sql);
  } finally {
    await sql.end();
  }
};

/** Migrated under another name first, so that a template with the right name is complete. */
const ensureTemplate = async (sql: Sql, serverUrl: string): Promise<string> => {
  const template = `outrider_template_${hashOf(folder)}`;
  const unfinished = `${template}_unfinished`;
  await sql`select pg_advisory_lock(hashtextextended(${template}, 0))`;
  try {
    const [found] = await sql`select from pg_database where datname = ${template}`;
    if (found) return template;
    await sql`drop database if exists ${sql(unfinished)} with (force)`;
    await sql`create database ${sql(unfinished)}`;
    await migrateAll({ url: urlOf(serverUrl, unfinished), folder });
    await sql`alter database ${sql(unfinished)} rename to ${sql(template)}`;
    return template;
  } finally {
    await sql`select pg_advisory_unlock(hashtextextended(${template}, 0))`;
  }
};

const urlOf = (serverUrl: string, database: string): string => {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
};

const hashOf = (root: string): string => {
  const hash = createHash("sha256");
  const entries = readdirSync(root, { recursive: true, withFileTypes: true });
  const paths = entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
  for (const path of paths.sort()) hash.update(path.slice(root.length)).update(readFileSync(path));
  return hash.digest("hex").slice(0, 12);
};
