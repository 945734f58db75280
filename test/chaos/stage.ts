/** Postgres and Kafka of a run's own, that can be killed, frozen and started again. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { choosePort, describeHost, ensureAddon, removeData } from "@outrider/stack";
import type { Child } from "@outrider/stack";
import { silentReport } from "@outrider/stack";
import { startKafka } from "../../packages/stack/src/kafka.ts";
import { startPostgres } from "../../packages/stack/src/postgres.ts";
import { createProxy } from "./proxy.ts";
import type { Proxy } from "./proxy.ts";

export type Service = Readonly<{
  proxy: Proxy;
  signal(name: NodeJS.Signals): void;
  /** Kills it, waits so long, and starts it again on its data. */
  crash(downMs: number): Promise<void>;
  /** As an operator does. */
  restart(): Promise<void>;
}>;

export type Stage = Readonly<{
  postgres: Service & Readonly<{ directUrl: string; url: string }>;
  kafka: Service & Readonly<{ bootstrapServers: string }>;
  nodePath: string;
  stop(): Promise<void>;
}>;

const stopMs = 8000;

export const startStage = async (
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Stage> => {
  const host = describeHost(env);
  const stateDir = join(folder, ".outrider");
  mkdirSync(stateDir, { recursive: true });
  const children = new Set<Child>();
  const onStart = (child: Child) => {
    children.add(child);
    void child.exited.then(() => children.delete(child));
  };
  const importer = join(import.meta.dirname, "../../packages/kafka/package.json");
  const node = await ensureAddon({ host, report: silentReport, importer });
  const job = { host, report: silentReport, stateDir, onStart };
  const ports = {
    postgres: await choosePort([0]),
    broker: await choosePort([0]),
    controller: await choosePort([0]),
  };
  const postgresProxy = await createProxy(() => ports.postgres);
  const kafkaProxy = await createProxy(() => ports.broker);
  const postgres = await keepService(postgresProxy, () => startPostgres(job, ports.postgres));
  const kafkaPorts = { ...ports, advertised: kafkaProxy.port };
  const kafka = await keepService(kafkaProxy, () => startKafka(job, kafkaPorts));
  const through = new URL(postgres.url());
  through.port = String(postgresProxy.port);
  return {
    postgres: { ...postgres, directUrl: postgres.url(), url: through.href },
    kafka: { ...kafka, bootstrapServers: `127.0.0.1:${kafkaProxy.port}` },
    nodePath: node.path,
    stop: async () => {
      for (const child of children) process.kill(child.pid, "SIGCONT");
      await Promise.all([...children].map((child) => child.stop(stopMs)));
      await Promise.all([postgresProxy.close(), kafkaProxy.close()]);
      await removeData({ stateDir, host });
    },
  };
};

type Running = Awaited<ReturnType<typeof startPostgres>>;

const keepService = async (proxy: Proxy, start: () => Promise<Running>) => {
  let running = await start();
  const signal = (name: NodeJS.Signals) => void process.kill(running.pid as number, name);
  return {
    proxy,
    url: () => running.url,
    signal,
    crash: async (downMs: number): Promise<void> => {
      signal("SIGKILL");
      await running.exited;
      await new Promise((resolve) => setTimeout(resolve, downMs));
      running = await start();
    },
    restart: async (): Promise<void> => {
      await running.stop(stopMs);
      running = await start();
    },
  };
};
