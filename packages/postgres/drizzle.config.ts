import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./packages/postgres/src/tables.ts",
  out: "./drizzle/platform",
  schemaFilter: ["outrider"],
});
