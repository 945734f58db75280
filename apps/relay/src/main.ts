/** The relay's process, on Node. */

import { randomUUID } from "node:crypto";
import { createHealth } from "@outrider/http";
import { createKafkaProbe, createOpenPublisher } from "@outrider/kafka";
import { startRelay } from "@outrider/outbox";
import { connect } from "@outrider/postgres";
import { createLogger, createRegistry, describeSettings, runProcess } from "@outrider/runtime";
import { serveOnNode, setting, settingsOrExit } from "@outrider/runtime";
import * as v from "valibot";
import { checkLeases, checkShards } from "./checks.ts";
import { createRelayMetrics } from "./metrics.ts";

const schema = v.strictObject({
  databaseUrl: setting.databaseUrl,
  kafka: setting.kafka,
  host: setting.host,
  port: setting.port(9101),
  logLevel: setting.logLevel,
  deployment: setting.deployment,
  relayBatchMax: v.optional(setting.integer(1, 100_000), 1000),
  relayLeaseTtlMs: v.optional(setting.integer(2000, 300_000), 5000),
});

const name = "relay";
const settings = settingsOrExit(schema, { env: process.env });
const log = createLogger({ name, level: settings.logLevel });

await runProcess({ name, log }, async (onStop) => {
  const { databaseUrl: url, kafka, host, port, relayLeaseTtlMs: leaseTtlMs } = settings;
  const clientId = `outrider-${settings.deployment}-relay`;
  const sql = connect({ url, name: clientId });
  onStop("database", () => sql.end({ timeout: 2 }));
  const probe = createKafkaProbe(kafka, log, { clientId: `${clientId}-probe` });
  onStop("Kafka probe", () => probe.close());
  const registry = createRegistry({ service: name, deployment: settings.deployment });
  const relay = startRelay(
    {
      sql,
      openPublisher: createOpenPublisher(kafka, log, { clientId }),
      log,
      owner: randomUUID(),
      monotonicMs: () => performance.now(),
      ...createRelayMetrics(registry, sql, () => relay.state()),
    },
    { batchMax: settings.relayBatchMax, leaseTtlMs },
  );
  onStop("relay", () => relay.stop());
  const checks = {
    postgres: async () => void (await sql`select 1`),
    kafka: () => probe.check(),
    leases: () => checkLeases(relay.state(), leaseTtlMs),
    shards: () => checkShards(relay.state()),
  };
  const server = await serveOnNode({ fetch: createHealth({ checks, registry }).fetch, host, port });
  onStop("server", () => server.close());
  log.info({ port: server.port, settings: describeSettings(schema, settings) }, "listening");
});
