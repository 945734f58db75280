import { defineConfig } from "drizzle-kit";

export default defineConfig({
  dialect: "postgresql",
  schema: "./apps/shop/src/tables.ts",
  out: "./drizzle/shop",
  schemaFilter: ["shop"],
});
