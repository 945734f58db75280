/** The shop's handlers' process, on Node. */

import { createHealth } from "@outrider/http";
import { startInbox } from "@outrider/inbox";
import { createKafkaProbe, createSubscribe } from "@outrider/kafka";
import { createOutbox } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import { createLogger, createRegistry, describeSettings, runProcess } from "@outrider/runtime";
import { serveOnNode, setting, settingsOrExit } from "@outrider/runtime";
import * as v from "valibot";
import { checkConsumers, checkPartitions } from "./checks.ts";
import { orderStatsHandler } from "./handlers/order-stats.ts";
import { orderSummary } from "./handlers/order-summary.ts";
import { createInboxMetrics, registerParked } from "./metrics.ts";
import { catalogue } from "./topics.ts";

const schema = v.strictObject({
  databaseUrl: setting.databaseUrl,
  databasePoolMax: v.optional(setting.integer(1, 1000), 12),
  kafka: setting.kafka,
  host: setting.host,
  port: setting.port(9102),
  logLevel: setting.logLevel,
  deployment: setting.deployment,
});

const name = "shop-worker";
const settings = settingsOrExit(schema, { env: process.env });
const log = createLogger({ name, level: settings.logLevel });

await runProcess({ name, log }, async (onStop) => {
  const { databaseUrl: url, databasePoolMax: poolMax, kafka, host, port } = settings;
  const clientId = `outrider-${settings.deployment}-${name}`;
  // A statement that waits for another worker's row must not hold up its whole batch for long.
  const limits = { idleInTransactionTimeoutMs: 30_000, lockTimeoutMs: 2_000 };
  const db = connectDatabase({ url, name: clientId, poolMax, ...limits });
  onStop("database", () => db.$client.end({ timeout: 2 }));
  const sql = connect({ url, name: clientId, poolMax: 4 });
  onStop("platform database", () => sql.end({ timeout: 2 }));
  const probe = createKafkaProbe(kafka, log, { clientId: `${clientId}-probe` });
  onStop("Kafka probe", () => probe.close());
  const registry = createRegistry({ service: name, deployment: settings.deployment });
  const outbox = createOutbox(catalogue);
  const handlers = [orderSummary, orderStatsHandler];
  registerParked(
    registry,
    sql,
    handlers.map((handler) => handler.name),
  );
  const inbox = startInbox(
    handlers,
    {
      sql,
      transact: (work) => outbox.transact(db, work),
      subscribe: createSubscribe(kafka, log, { clientId }),
      log,
      random: Math.random,
      ...createInboxMetrics(registry, () => inbox.state()),
    },
    { group: "shop" },
  );
  onStop("handlers", () => inbox.stop());
  const checks = {
    postgres: async () => void (await sql`select 1`),
    kafka: () => probe.check(),
    consumers: () => checkConsumers(inbox.state()),
    partitions: () => checkPartitions(inbox.state()),
  };
  const server = await serveOnNode({ fetch: createHealth({ checks, registry }).fetch, host, port });
  onStop("server", () => server.close());
  log.info({ port: server.port, settings: describeSettings(schema, settings) }, "listening");
});
