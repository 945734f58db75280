/** The shop's handlers' process, on Node. */

import { hostname } from "node:os";
import { join } from "node:path";
import { createLogReader } from "@outrider/broker";
import { createOpenTimers } from "@outrider/bullmq";
import { assertWell, judgeConsumers, judgeLife, judgePartitions } from "@outrider/health";
import { createHealth } from "@outrider/http";
import { createIsolation, startInbox } from "@outrider/inbox";
import { createKafkaProbe, createSubscribe, poolThreadsFor } from "@outrider/kafka";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { checkAtStart, checkConnection, connect, createServerCheck } from "@outrider/postgres";
import { startLetterCleaning } from "@outrider/redrive";
import { createLogger, createRegistry, describeSettings, runProcess } from "@outrider/runtime";
import { serveOnNode, settingsOrExit, watchLoop } from "@outrider/runtime";
import { checkTimers } from "./checks.ts";
import { createInboxMetrics, registerBreakers, registerTables } from "./metrics.ts";
import { catalogue } from "./topics.ts";
import { checkOutbound, connectHandlers, countGroups } from "./worker-parts.ts";
import { createHandlers, group, handlerParts, workerSchema } from "./worker-parts.ts";

const name = "shop-worker";
const settings = settingsOrExit(workerSchema, { env: process.env });
const log = createLogger({ name, level: settings.logLevel });

// Node reads this when its pool is first used, which nothing has done so far.
process.env.UV_THREADPOOL_SIZE ??= String(poolThreadsFor(countGroups()));

await runProcess({ name, log }, async (onStop) => {
  const { databaseUrl: url, databasePoolMax: poolMax, kafka, redisUrl, host, port } = settings;
  const clientId = `outrider-${settings.deployment}-${name}`;
  const db = connectHandlers({ url, name: clientId, poolMax });
  onStop("database", () => db.$client.end({ timeout: 2 }));
  const sql = connect({ url, name: clientId, poolMax: 4 });
  onStop("platform database", () => sql.end({ timeout: 2 }));
  const checkPostgres = createServerCheck(sql, { url });
  await checkAtStart(checkPostgres, () => checkConnection(db.$client));
  const parts = handlerParts(settings);
  await checkOutbound(parts);
  const probe = createKafkaProbe(kafka, log, { clientId: `${clientId}-probe` });
  onStop("Kafka probe", () => probe.close());
  const logs = createLogReader(kafka);
  onStop("log reader", () => logs.close());
  const registry = createRegistry({ service: name, deployment: settings.deployment });
  const outbox = createOutbox(catalogue);
  const handlers = createHandlers(parts);
  const names = handlers.map((handler) => handler.name);
  registerTables(registry, { sql, handlers: names, look: { keepMs: settings.metricsLookMs } });
  const loop = watchLoop({ name, parts: names });
  onStop("loop watch", () => loop.stop());
  const inbox = startInbox(
    handlers,
    {
      sql,
      transact: (work) => outbox.transact(db, work),
      subscribe: createSubscribe(kafka, log, { clientId }),
      readLogs: logs.readLogs,
      log,
      random: Math.random,
      writeRecord,
      onRun: loop.running,
      ...(redisUrl && { openTimers: createOpenTimers(redisUrl, log) }),
      isolation: createIsolation({ entry: join(import.meta.dirname, "suspect.ts"), log }),
      ...createInboxMetrics(registry, () => inbox.state()),
    },
    { group, name: `${hostname()} ${process.pid}` },
  );
  onStop("handlers", () => inbox.stop());
  registerBreakers(registry, inbox);
  const letters = startLetterCleaning({ sql, log }, { lettersKeepMs: settings.lettersKeepMs });
  onStop("cleaning of letters", () => letters.stop());
  const checks = {
    postgres: checkPostgres,
    kafka: () => probe.check(),
    consumers: () => assertWell(judgeConsumers(inbox.state())),
    partitions: () => assertWell(judgePartitions(inbox.state())),
  };
  const degrading = { redis: () => checkTimers(inbox, redisUrl) };
  const living = {
    consumers: () => assertWell(judgeLife({ groups: inbox.state(), limits: settings })),
  };
  const run = settings.outriderRun;
  const { fetch } = createHealth({ checks, living, degrading, run, registry });
  const server = await serveOnNode({ fetch, host, port });
  onStop("server", () => server.close());
  const started = { port: server.port, poolThreads: process.env.UV_THREADPOOL_SIZE };
  log.info({ ...started, settings: describeSettings(workerSchema, settings) }, "listening");
});
