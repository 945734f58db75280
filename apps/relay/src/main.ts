/** The relay's process, on Node. */

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { assertWell, judgeLeases, judgeShards } from "@outrider/health";
import { createHealth } from "@outrider/http";
import { createKafkaProbe, createOpenPublisher } from "@outrider/kafka";
import { connectStore, startRelay } from "@outrider/outbox";
import { checkAtStart, createServerCheck } from "@outrider/postgres";
import { createLogger, createRegistry, describeSettings, runProcess } from "@outrider/runtime";
import { serveOnNode, setting, settingsOrExit } from "@outrider/runtime";
import * as v from "valibot";
import { createRelayMetrics } from "./metrics.ts";

const schema = v.strictObject({
  databaseUrl: setting.databaseUrl,
  kafka: setting.kafka,
  host: setting.host,
  port: setting.port(9101),
  logLevel: setting.logLevel,
  deployment: setting.deployment,
  outriderRun: setting.outriderRun,
  relayBatchMax: v.optional(setting.integer(1, 100_000), 2000),
  relayBatchBytesMax: v.optional(setting.integer(1, 1_000_000_000), 4 * 1024 * 1024),
  relayLeaseTtlMs: v.optional(setting.integer(2000, 300_000), 5000),
  relayPollMaxMs: v.optional(setting.integer(1, 60_000), 200),
  relayStuckMs: v.optional(setting.integer(100, 600_000), 2000),
  relayPoolMax: v.optional(setting.integer(1, 256), 10),
  relaySkipTopics: v.optional(setting.list, ""),
});

const name = "relay";
const settings = settingsOrExit(schema, { env: process.env });
const log = createLogger({ name, level: settings.logLevel });

await runProcess({ name, log }, async (onStop) => {
  const { databaseUrl: url, kafka, host, port, relayLeaseTtlMs: leaseTtlMs } = settings;
  const clientId = `outrider-${settings.deployment}-relay`;
  const { store, leases, end } = connectStore({
    url,
    name: clientId,
    poolMax: settings.relayPoolMax,
  });
  onStop("database", end);
  const checkPostgres = createServerCheck(leases, { url });
  await checkAtStart(checkPostgres);
  const probe = createKafkaProbe(kafka, log, { clientId: `${clientId}-probe` });
  onStop("Kafka probe", () => probe.close());
  const registry = createRegistry({ service: name, deployment: settings.deployment });
  const relay = startRelay(
    {
      store,
      openPublisher: createOpenPublisher(kafka, log, { clientId }),
      log,
      owner: randomUUID(),
      name: `${hostname()} ${process.pid}`,
      now: () => new Date(),
      monotonicMs: () => performance.now(),
      checkKafka: () => probe.check(),
      ...createRelayMetrics(registry, leases, () => relay.state()),
    },
    {
      batchMax: settings.relayBatchMax,
      batchBytesMax: settings.relayBatchBytesMax,
      leaseTtlMs,
      pollMaxMs: settings.relayPollMaxMs,
      stuckMs: settings.relayStuckMs,
      skipTopics: settings.relaySkipTopics,
    },
  );
  onStop("relay", () => relay.stop());
  const checks = {
    postgres: checkPostgres,
    kafka: () => probe.check(),
    leases: () => assertWell(judgeLeases({ ...relay.state(), leaseTtlMs })),
    shards: () => assertWell(judgeShards({ ...relay.state(), leaseTtlMs })),
  };
  const { fetch } = createHealth({ checks, run: settings.outriderRun, registry });
  const server = await serveOnNode({ fetch, host, port });
  onStop("server", () => server.close());
  log.info({ port: server.port, settings: describeSettings(schema, settings) }, "listening");
});
