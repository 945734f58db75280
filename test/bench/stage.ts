/** Postgres and Kafka for measuring: the broker compiles for the long run and has room. */

import { readFileSync, readdirSync } from "node:fs";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { choosePort, describeHost, ensureAddon, removeData } from "@outrider/stack";
import type { Child, Report } from "@outrider/stack";
import { startKafka } from "../../packages/stack/src/kafka.ts";
import { startPostgres } from "../../packages/stack/src/postgres.ts";

export type BenchStage = Readonly<{
  url: string;
  bootstrapServers: string;
  nodePath: string;
  /** CPU seconds that Postgres and Kafka have used so far. */
  cpu(): Readonly<{ postgres: number; kafka: number }>;
  stop(): Promise<void>;
}>;

const stopMs = 8000;
const brokerOptions = ["-XX:TieredStopAtLevel=4", "-Xmx1g"];

export const startBenchStage = async (
  folder: string,
  { env, report }: Readonly<{ env: Record<string, string | undefined>; report: Report }>,
): Promise<BenchStage> => {
  const host = describeHost(env);
  const stateDir = join(folder, ".outrider");
  mkdirSync(stateDir, { recursive: true });
  const importer = join(import.meta.dirname, "../../packages/kafka/package.json");
  const node = await ensureAddon({ host, report, importer });
  const children: Child[] = [];
  const job = { host, report, stateDir, onStart: (child: Child) => void children.push(child) };
  const postgres = await startPostgres(job, await choosePort([0]));
  const ports = { broker: await choosePort([0]), controller: await choosePort([0]) };
  const kafka = await startKafka(job, ports, { jvmOptions: brokerOptions });
  return {
    url: postgres.url,
    bootstrapServers: kafka.url,
    nodePath: node.path,
    cpu: () => ({
      postgres: cpuOfChildren(postgres.pid ?? 0),
      kafka: cpuOf(kafka.pid ?? 0).own,
    }),
    stop: async () => {
      await Promise.all(children.map((child) => child.stop(stopMs)));
      await removeData({ stateDir, host });
    },
  };
};

const ticksPerSecond = 100;

/** Seconds, from /proc; zero where there is none. `dead` is that of children that have ended. */
export const cpuOf = (pid: number): Readonly<{ own: number; dead: number; parent: number }> => {
  try {
    const [, rest = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
    const fields = rest.split(" ").map(Number);
    const seconds = (from: number) =>
      ((fields[from] ?? 0) + (fields[from + 1] ?? 0)) / ticksPerSecond;
    return { own: seconds(11), dead: seconds(13), parent: fields[1] ?? 0 };
  } catch {
    return { own: 0, dead: 0, parent: 0 };
  }
};

/** A server and its backends, those that have ended included. */
const cpuOfChildren = (pid: number): number => {
  const { own, dead } = cpuOf(pid);
  let sum = own + dead;
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const one = cpuOf(Number(name));
    if (one.parent === pid) sum += one.own;
  }
  return sum;
};
