import { expect, test } from "bun:test";
import { cleanEnv } from "./process-env.ts";

const cleaned = (env: Record<string, string | undefined>, command?: string) => {
  cleanEnv(env, command);
  const { NO_PROXY, no_proxy: inSmall, ...rest } = env;
  for (const value of [NO_PROXY, inSmall]) expect(value).toContain("127.0.0.1");
  return rest;
};

test("variables of Postgres count beside a database that was given, and never for dev", () => {
  const standby = { PGTARGETSESSIONATTRS: "standby", PGPASSWORD: "x", PATH: "/bin" };
  const url = { DATABASE_URL: "postgres://db/shop" };
  expect(cleaned({ ...standby }, "migrate")).toEqual({ PATH: "/bin" });
  expect(cleaned({ ...standby, ...url }, "migrate")).toEqual({ ...standby, ...url });
  expect(cleaned({ ...standby, ...url }, "dev")).toEqual({ PATH: "/bin", ...url });
});

test("options of another Node do not reach ours", () => {
  expect(cleaned({ NODE_OPTIONS: "--no-such", A: "1" })).toEqual({ A: "1" });
});
