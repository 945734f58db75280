/** A Kafka of a test's own, that can only be reached through a proxy. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KafkaConnection } from "@outrider/event";
import { choosePort, describeHost, silentReport } from "@outrider/stack";
import { startKafka } from "../../packages/stack/src/kafka.ts";
import { createProxy } from "../chaos/proxy.ts";
import type { Proxy } from "../chaos/proxy.ts";
import { testEnvironment } from "./environment.ts";

export type KafkaBehindProxy = Readonly<{
  connection: KafkaConnection;
  proxy: Proxy;
  /** How many connections have been made through the proxy so far. */
  connections(): number;
  /** Ends it and leaves nothing behind. */
  remove(): Promise<void>;
}>;

const stopMs = 2_000;

export const startKafkaBehindProxy = async (): Promise<KafkaBehindProxy> => {
  const folder = mkdtempSync(join(tmpdir(), "outrider-kafka-"));
  const stateDir = join(folder, ".outrider");
  mkdirSync(stateDir, { recursive: true });
  const [broker, controller] = [await choosePort([0]), await choosePort([0])];
  let connections = 0;
  const proxy = await createProxy(() => {
    connections += 1;
    return broker;
  });
  const host = describeHost(testEnvironment());
  const job = { host, report: silentReport, stateDir, onStart: () => {} };
  const service = await startKafka(job, { broker, controller, advertised: proxy.port });
  return {
    connection: { bootstrapServers: `127.0.0.1:${proxy.port}` },
    proxy,
    connections: () => connections,
    remove: async () => {
      await proxy.close();
      await service.stop(stopMs);
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
