/** `outrider migrate`: brings a database to the state that this checkout expects. */

import { join } from "node:path";
import { fault } from "@outrider/event";
import { migrateAll } from "@outrider/postgres/migrate";
import type { Report } from "@outrider/stack";
import type { Context } from "./main.ts";
import { migrationsFolder } from "./project.ts";

export const migrate = async ({ root, settings, report }: Context): Promise<number> => {
  if (!settings.databaseUrl) {
    throw fault("settings_invalid", "DATABASE_URL says which database to migrate; it is missing.");
  }
  await applyMigrations({ root, report, url: settings.databaseUrl });
  return 0;
};

export const applyMigrations = async (
  job: Readonly<{ root: string; report: Report; url: string }>,
): Promise<void> => {
  const startedMs = performance.now();
  const folder = join(job.root, migrationsFolder);
  const { applied } = await migrateAll({ url: job.url, folder });
  const took = `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
  const what = applied === 0 ? "up to date" : `${applied} applied`;
  job.report.say(`${"migrations".padEnd(12)} ${what} in ${took}`);
};
