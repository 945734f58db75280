/**
 * Schemathesis asks both HTTP APIs, as they run, what their OpenAPI documents say: wrong and right
 * requests of every operation, and chains of them, with all its checks.
 */

import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { applyTopics } from "@outrider/broker";
import { fault } from "@outrider/event";
import { createKey } from "@outrider/operations";
import { connect } from "@outrider/postgres";
import { migrateAll } from "@outrider/postgres/migrate";
import { describeHost, findCommand } from "@outrider/stack";
import { topics } from "../../apps/shop/src/topics.ts";
import { run } from "../../packages/stack/src/run.ts";
import { startStage } from "../chaos/stage.ts";
import { startApp } from "../e2e/processes.ts";
import type { App } from "../e2e/processes.ts";
import { fillOperations } from "../support/fill-operations.ts";
import type { Drill, DrillContext } from "./drill.ts";
import { configText } from "./schemathesis-config.ts";
import { reportOf } from "./schemathesis-report.ts";
import type { Asked } from "./schemathesis-report.ts";

const version = "4.32.5";
const seed = 7;
const installTimeoutMs = 300_000;
const askTimeoutMs = 1_200_000;

export const schemathesis: Drill = {
  what: `schemathesis ${version} against the OpenAPI documents of both APIs (5 minutes)`,
  run: async (context) => {
    const command = await install(context);
    const stage = await startStage(context.folder, { env: context.env, brokers: 1 });
    const url = stage.postgres.directUrl;
    const sql = connect({ url, name: "drill", poolMax: 2 });
    const apps: App[] = [];
    const start = async (name: string, runtime: "bun" | "node", entry: string): Promise<App> => {
      const env = {
        ...{ DATABASE_URL: url, REDIS_URL: stage.redis.url },
        KAFKA_BOOTSTRAP_SERVERS: stage.kafka.bootstrapServers,
      };
      const app = await startApp({ name, runtime, entry, logFolder: context.folder, env });
      apps.push(app);
      return app;
    };
    try {
      await migrateAll({ url, folder: join(import.meta.dirname, "../../drizzle") });
      await applyTopics(stage.kafka, { topics, profile: "dev" });
      await fillOperations(sql, { parked: 50, letters: 200, inbox: 100, outbox: 10, audit: 200 });
      // Far from the ids that are guessed: nobody revokes the key that is used.
      await sql`alter table outrider.api_keys alter column id restart with 900000000001`;
      const scopes = ["admin"] as const;
      const { key } = await sql.begin((tx) =>
        createKey(tx, { name: "drill", scopes, by: "drill" }),
      );
      const shop = await start("shop", "bun", "apps/shop/src/http.ts");
      await start("relay", "node", "apps/relay/src/main.ts");
      await start("shop-worker", "node", "apps/shop/src/worker.ts");
      const ops = await start("ops", "bun", "apps/ops/src/http.ts");
      const ask = (name: string, app: App, more: readonly string[] = []) =>
        askAll(context, { command, name, url: app.url, more });
      const header = ["--header", `Authorization: Bearer ${key}`];
      return reportOf([await ask("shop", shop), await ask("operations", ops, header)], {
        version,
        seed,
      });
    } finally {
      await Promise.all(apps.map((app) => app.stop()));
      await sql.end({ timeout: 1 });
      await stage.stop();
    }
  },
};

/** Into the run's own folder, which goes with it. Throws `missing_tool`. */
const install = async ({ env, folder, say }: DrillContext): Promise<string> => {
  const host = describeHost(env);
  const python = ["python3", "python"].find((name) => findCommand(host, name));
  if (!python) {
    throw fault(
      "missing_tool",
      "Schemathesis needs Python 3.10 or newer, and there is no python3 on the PATH: install it, " +
        "on Debian with apt-get install python3 python3-venv",
    );
  }
  const made = join(folder, "python");
  const options = { env, timeoutMs: installTimeoutMs };
  const venv = await run(python, ["-m", "venv", made], options);
  if (venv.code !== 0) {
    throw fault(
      "missing_tool",
      `${python} cannot make a virtual environment: on Debian, apt-get install python3-venv\n` +
        venv.output,
    );
  }
  say(`installing schemathesis ${version} into ${made}`);
  const wanted = ["install", "--quiet", "--disable-pip-version-check", `schemathesis==${version}`];
  const installed = await run(join(made, "bin/pip"), wanted, options);
  if (installed.code !== 0) {
    throw fault("missing_tool", `pip cannot install schemathesis:\n${installed.output}`);
  }
  return join(made, "bin/schemathesis");
};

type Asking = Readonly<{ command: string; name: string; url: string; more: readonly string[] }>;

const askAll = async (
  { env, folder, say }: DrillContext,
  { command, name, url, more }: Asking,
): Promise<Asked> => {
  const report = join(folder, `${name}.json`);
  const config = join(folder, "schemathesis.toml");
  writeFileSync(config, configText());
  const options = [
    ...["--checks", "all", "--seed", String(seed), "--continue-on-failure"],
    ...["--report", "json", "--report-json-path", report, ...more],
  ];
  say(`asking ${name}`);
  const args = ["--config-file", config, "run", `${url}/openapi.json`, ...options];
  const { code, output } = await run(command, args, {
    ...{ env: { ...env, COLUMNS: "160" }, cwd: folder, timeoutMs: askTimeoutMs },
    onLine: (line) => appendFileSync(join(folder, `${name}-asked.log`), `${line}\n`),
  });
  // 1 says that a check has failed; anything else that it could not be run.
  if (code !== 0 && code !== 1)
    throw fault("internal", `schemathesis ended with ${code}:\n${output}`);
  return { name, ...(JSON.parse(readFileSync(report, "utf8")) as Omit<Asked, "name">) };
};
