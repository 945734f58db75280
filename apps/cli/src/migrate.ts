/** `outrider migrate`: brings a database to the state that this checkout expects. */

import { join } from "node:path";
import { migrateAll } from "@outrider/postgres/migrate";
import type { Report } from "@outrider/stack";
import { databaseUrlOf } from "./database.ts";
import { orDatabaseFault } from "./database-fault.ts";
import type { Context } from "./main.ts";
import { migrationsFolder } from "./project.ts";

export const migrate = async (context: Context): Promise<number> => {
  await applyMigrations({ ...context, url: databaseUrlOf(context) });
  return 0;
};

export const applyMigrations = async (
  job: Readonly<{ root: string; report: Report; url: string }>,
): Promise<void> => {
  const startedMs = performance.now();
  const folder = join(job.root, migrationsFolder);
  const { applied } = await orDatabaseFault(migrateAll({ url: job.url, folder }));
  const took = `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  const what = applied === 0 ? "up to date" : `${applied} applied`;
  job.report.say(`${"migrations".padEnd(12)} ${what} in ${took}`);
};
