/** Postgres and Kafka of a run's own, that can be killed, frozen and started again. */

import { mkdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { choosePort, describeHost, ensureAddon, removeData, startRedis } from "@outrider/stack";
import type { Child } from "@outrider/stack";
import { silentReport } from "@outrider/stack";
import { startKafka } from "../../packages/stack/src/kafka.ts";
import { startPostgres } from "../../packages/stack/src/postgres.ts";
import type { EmbeddedJob } from "../../packages/stack/src/service.ts";
import { startCluster } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";
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
  kafka: Readonly<{ bootstrapServers: string }>;
  redis: Omit<Service, "proxy"> & Readonly<{ url: string; forget(): Promise<void> }>;
  /** The one broker, behind a proxy, or three without. */
  broker?: Service;
  cluster?: Cluster;
  nodePath: string;
  stop(): Promise<void>;
}>;

const stopMs = 8000;

/** What is too old is deleted within seconds, where it takes minutes otherwise. */
const brokerSettings = { "log.retention.check.interval.ms": "3000" } as const;

export type StageOptions = Readonly<{
  env: Readonly<Record<string, string | undefined>>;
  brokers: 1 | 3;
}>;

export const startStage = async (
  folder: string,
  { env, brokers }: StageOptions,
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
  const port = await choosePort([0]);
  const proxy = await createProxy(() => port);
  const stopAll = async (): Promise<void> => {
    for (const child of children) process.kill(child.pid, "SIGCONT");
    await Promise.all([...children].map((child) => child.stop(stopMs)));
    await proxy.close();
    await removeData({ stateDir, host });
  };
  try {
    const postgres = await keepService(proxy, () => startPostgres(job, port));
    const redis = await startOwnRedis(job);
    const kafka = brokers === 1 ? await startBroker(job) : await startThree(job);
    const through = new URL(postgres.url());
    through.port = String(proxy.port);
    return {
      postgres: { ...postgres, directUrl: postgres.url(), url: through.href },
      ...kafka,
      redis,
      nodePath: node.path,
      stop: async () => {
        await Promise.all([stopAll(), kafka.broker?.proxy.close()]);
      },
    };
  } catch (error) {
    await stopAll();
    throw error;
  }
};

const startOwnRedis = async (job: EmbeddedJob): Promise<Stage["redis"]> => {
  const port = await choosePort([0]);
  const { signal, crash, restart, url } = await keepRunning(() => startRedis(job, port));
  return { signal, crash, restart, url: url(), forget: () => flushAll(url()) };
};

const flushAll = (url: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const { port, password } = new URL(url);
    const commands = `AUTH ${password}\r\nFLUSHALL\r\n`;
    const socket = connect({ port: Number(port), host: "127.0.0.1" }, () => socket.write(commands));
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk.toString();
      if (answer === "+OK\r\n+OK\r\n") socket.end(() => resolve());
      else if (answer.includes("-")) socket.destroy(new Error(answer));
    });
    socket.once("error", reject);
  });

type KafkaPart = Pick<Stage, "kafka" | "broker" | "cluster">;

const startBroker = async (job: EmbeddedJob): Promise<KafkaPart> => {
  const ports = { broker: await choosePort([0]), controller: await choosePort([0]) };
  const proxy = await createProxy(() => ports.broker);
  const start = () =>
    startKafka(job, { ...ports, advertised: proxy.port }, { settings: brokerSettings });
  const broker = await keepService(proxy, start);
  return { kafka: { bootstrapServers: `127.0.0.1:${proxy.port}` }, broker };
};

const startThree = async (job: EmbeddedJob): Promise<KafkaPart> => {
  const cluster = await startCluster(job);
  return { kafka: cluster, cluster };
};

type Running = Awaited<ReturnType<typeof startPostgres>>;

const keepService = async (proxy: Proxy, start: () => Promise<Running>) => ({
  proxy,
  ...(await keepRunning(start)),
});

const keepRunning = async (start: () => Promise<Running>) => {
  let running = await start();
  const signal = (name: NodeJS.Signals) => void process.kill(running.pid as number, name);
  return {
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
