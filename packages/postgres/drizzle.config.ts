import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: [
    "./packages/postgres/src/tables.ts",
    "./packages/postgres/src/letter-tables.ts",
    "./packages/postgres/src/operation-tables.ts",
  ],
  out: "./drizzle/platform",
  schemaFilter: ["outrider"],
});
