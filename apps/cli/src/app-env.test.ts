import { expect, test } from "bun:test";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { appEnv, ownSettings } from "./app-env.ts";

const root = join(import.meta.dirname, "../../..");

/** `relayPollMaxMs` is RELAY_POLL_MAX_MS, as packages/runtime has it. */
const variableOf = (key: string) => key.replace(/[A-Z]/g, "_$&").toUpperCase();

test("every setting that an app reads reaches it from who starts dev, or is dev's own", () => {
  const entries = "apps/{shop,relay,ops,outside}/src/{main,http,worker-parts}.ts";
  const texts = globSync(entries, { cwd: root }).map((path) =>
    readFileSync(join(root, path), "utf8"),
  );
  const schemas = texts.flatMap((text) => text.match(/v\.strictObject\(\{[\s\S]*?\n\}\)/g) ?? []);
  expect(schemas).toHaveLength(5);
  const keys = schemas.flatMap((text) => [...text.matchAll(/^ {2}(\w+):/gm)].map(([, key]) => key));
  const names = new Set(keys.map((key = "") => variableOf(key)));
  expect(names).toContain("RELAY_POLL_MAX_MS");
  // A section of several.
  names.delete("KAFKA");
  for (const name of names) {
    if (ownSettings.includes(name)) continue;
    expect([name, appEnv({ [name]: "1" })[name]]).toEqual([name, "1"]);
  }
});

test("apps listen on loopback, and take nothing else that is set for other programs", () => {
  const env = { HOST: "0.0.0.0", PORT: "1", HTTP_PROXY: "x", PGHOST: "x", KAFKA_OPTS: "x" };
  expect(appEnv({ ...env, KAFKA_SASL_PASSWORD: "x" })).toEqual({
    ...{ KAFKA_SASL_PASSWORD: "x", HOST: "127.0.0.1", LC_ALL: "C.UTF-8", TZ: "UTC" },
  });
});
