/** The operations API's process, on Bun. It also carries out what was begun through it. */

import { resolve } from "node:path";
import { createTopicReader } from "@outrider/broker";
import { openRetryQueues } from "@outrider/bullmq";
import { createQueueBoard } from "@outrider/bullmq/board";
import type { Catalogue } from "@outrider/event";
import { thresholds } from "@outrider/health";
import { createDecodes, createKeyCheck, createOperationsApi } from "@outrider/operations";
import { createQueuePages, liveDefaults, planning, startDriver } from "@outrider/operations";
import { writeRecord } from "@outrider/outbox";
import { checkAtStart, connect, createServerCheck } from "@outrider/postgres";
import { createLogger, createRegistry, createRequestMetric, listening } from "@outrider/runtime";
import { describeSettings, runProcess, setting, settingsOrExit } from "@outrider/runtime";
import * as v from "valibot";

const schema = v.strictObject({
  databaseUrl: setting.databaseUrl,
  databasePooler: setting.databasePooler,
  databasePoolMax: v.optional(setting.integer(2, 1000), 20),
  /** Without it, lag and records of events are not told. */
  kafka: v.optional(setting.kafka),
  /** Without it, timers of retries are not told. */
  redisUrl: v.optional(setting.redisUrl),
  /** Modules that export a `catalogue`, from this process's folder: what letters are read by. */
  catalogueModules: v.optional(setting.list, []),
  /** Of a proxy in front that is to be believed: the last address in it counts. */
  clientAddressHeader: v.optional(setting.text),
  /** Up to where things count as well: WELL_OUTBOX_AGE_MAX_MS and others. */
  well: v.optional(setting.counts(thresholds)),
  /** Lists that stay open, of this process and of one key. */
  liveMax: v.optional(setting.integer(1, 10_000), liveDefaults.liveMax),
  liveKeyMax: v.optional(setting.integer(1, 10_000), liveDefaults.liveKeyMax),
  host: setting.host,
  port: setting.port(3001),
  logLevel: setting.logLevel,
  deployment: setting.deployment,
  outriderRun: setting.outriderRun,
});

const name = "ops";
/** For requests in flight, when the process is told to stop. */
const drainMs = 4_000;
const driverPoolMax = 4;
const settings = settingsOrExit(schema, { env: Bun.env });
const log = createLogger({ name, level: settings.logLevel });

const loadCatalogues = async (paths: readonly string[]): Promise<Catalogue[]> =>
  Promise.all(
    paths.map(async (path) => {
      const loaded = (await import(resolve(path))) as { catalogue: Catalogue };
      return loaded.catalogue;
    }),
  );

await runProcess({ name, log }, async (onStop) => {
  const { databaseUrl: url, databasePoolMax: poolMax, kafka, redisUrl } = settings;
  const { host, port, clientAddressHeader, databasePooler: pooler } = settings;
  // Below the API's own time limit.
  const limits = { statementTimeoutMs: 8_000, lockTimeoutMs: 5_000 };
  const sql = connect({ url, name, poolMax, pooler, ...limits, parameters: planning });
  onStop("database", () => sql.end({ timeout: 2 }));
  const checkPostgres = createServerCheck(sql, { url, pooler, limits });
  await checkAtStart(checkPostgres);
  const reader = kafka && createTopicReader(kafka);
  onStop("Kafka", async () => reader?.close());
  const retryQueues = redisUrl === undefined ? undefined : openRetryQueues(redisUrl);
  onStop("Redis", async () => retryQueues?.close());
  const queuePages =
    redisUrl === undefined
      ? undefined
      : createQueuePages({
          sql,
          openBoard: (queues, basePath) => createQueueBoard({ redisUrl, queues, basePath }),
        });
  onStop("queue pages", async () => queuePages?.close());
  // The same few statements for each letter: their plans are kept.
  const driverName = `${name}-driver`;
  const ofDriver = connect({ url, name: driverName, poolMax: driverPoolMax, pooler, ...limits });
  onStop("the driver's database", () => ofDriver.end({ timeout: 2 }));
  const driver = startDriver({ sql: ofDriver, log, random: Math.random, writeRecord });
  onStop("operations", () => driver.stop());
  const stopping = new AbortController();
  const registry = createRegistry({ service: name, deployment: settings.deployment });
  const decodes = createDecodes(await loadCatalogues(settings.catalogueModules));
  const { liveMax, liveKeyMax } = settings;
  const served = {
    ...{ sql, log, registry, writeRecord, retryQueues, kafka: reader, queuePages },
    thresholds: settings.well,
    newId: () => Bun.randomUUIDv7(),
    authenticate: createKeyCheck({ sql, log, monotonicMs: () => performance.now() }),
    loadDecodes: async () => decodes,
    wake: driver.wake,
    stopping: stopping.signal,
    observe: createRequestMetric(registry),
    run: settings.outriderRun,
    checks: { postgres: checkPostgres },
    readAsset: (file: string) =>
      Bun.file(Bun.resolveSync(`swagger-ui-dist/${file}`, import.meta.dir)).bytes(),
  };
  const app = createOperationsApi(served, { liveMax, liveKeyMax });
  const answer = (request: Request, listener: Bun.Server<undefined>) => {
    const told = clientAddressHeader && request.headers.get(clientAddressHeader);
    const address = told ? told.split(",").at(-1)?.trim() : listener.requestIP(request)?.address;
    return app.fetch(request, { address });
  };
  const server = await listening({ host, port }, () =>
    Bun.serve({ hostname: host, port, idleTimeout: 30, fetch: answer }),
  );
  onStop("server", async () => {
    stopping.abort();
    const force = setTimeout(() => server.stop(true), drainMs);
    await server.stop();
    clearTimeout(force);
  });
  log.info({ url: server.url.href, settings: describeSettings(schema, settings) }, "listening");
});
