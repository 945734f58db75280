import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { apps, kafkaClientImporter, migrationsFolder, topicModules } from "./project.ts";

test("every path of the project's description exists", () => {
  const root = join(import.meta.dirname, "../../..");
  const entries = apps.map((app) => app.entry);
  const paths = [...entries, ...topicModules, kafkaClientImporter, migrationsFolder];
  expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test("no two apps want the same name or port", () => {
  expect(new Set(apps.map((app) => app.name)).size).toBe(apps.length);
  expect(new Set(apps.map((app) => app.port)).size).toBe(apps.length);
});
