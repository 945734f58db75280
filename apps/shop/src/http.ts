/** The shop's HTTP process, on Bun. */

import { removeExpiredKeys } from "@outrider/http";
import { createOutbox } from "@outrider/outbox";
import { checkAtStart, connectDatabase, createServerCheck } from "@outrider/postgres";
import { createLogger, createRegistry, createRequestMetric, listening } from "@outrider/runtime";
import { describeSettings, runProcess, setting, settingsOrExit } from "@outrider/runtime";
import * as v from "valibot";
import { createShop } from "./shop.ts";
import { catalogue } from "./topics.ts";

const schema = v.strictObject({
  databaseUrl: setting.databaseUrl,
  databasePooler: setting.databasePooler,
  databasePoolMax: v.optional(setting.integer(1, 1000), 20),
  host: setting.host,
  port: setting.port(3000),
  logLevel: setting.logLevel,
  deployment: setting.deployment,
  outriderRun: setting.outriderRun,
});

const name = "shop";
const hourMs = 60 * 60 * 1000;
/** For requests in flight, when the process is told to stop. */
const drainMs = 6_000;
const settings = settingsOrExit(schema, { env: Bun.env });
const log = createLogger({ name, level: settings.logLevel });

await runProcess({ name, log }, async (onStop) => {
  const { databaseUrl: url, databasePoolMax: poolMax, host, port } = settings;
  // Below the API's own time limit, so that a caller who was told 504 is mostly told the truth.
  const limits = { statementTimeoutMs: 8_000, lockTimeoutMs: 5_000 };
  const { databasePooler: pooler } = settings;
  const db = connectDatabase({ url, name, poolMax, pooler, ...limits });
  onStop("database", () => db.$client.end({ timeout: 5 }));
  const checkPostgres = createServerCheck(db.$client, { url, pooler, limits });
  await checkAtStart(checkPostgres);
  const registry = createRegistry({ service: name, deployment: settings.deployment });
  const app = createShop({
    db,
    outbox: createOutbox(catalogue),
    log,
    now: () => new Date(),
    newId: () => Bun.randomUUIDv7(),
    registry,
    run: settings.outriderRun,
    observe: createRequestMetric(registry),
    checks: { postgres: checkPostgres },
    readAsset: (file) =>
      Bun.file(Bun.resolveSync(`swagger-ui-dist/${file}`, import.meta.dir)).bytes(),
  });
  const clean = setInterval(() => {
    removeExpiredKeys(db, { ageMs: 24 * hourMs }).catch((err: unknown) =>
      log.error({ err }, "keys were kept"),
    );
  }, hourMs);
  onStop("key clean-up", () => clearInterval(clean));
  const server = await listening({ host, port }, () =>
    Bun.serve({ hostname: host, port, fetch: app.fetch, idleTimeout: 30 }),
  );
  onStop("server", async () => {
    const force = setTimeout(() => server.stop(true), drainMs);
    await server.stop();
    clearTimeout(force);
  });
  log.info({ url: server.url.href, settings: describeSettings(schema, settings) }, "listening");
});
