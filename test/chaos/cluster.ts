/** Three brokers on this machine, each of which can be killed, and find its disk full. */

import { randomBytes } from "node:crypto";
import { chmodSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { choosePort, silentReport } from "@outrider/stack";
import type { Child } from "@outrider/stack";
import { ensureJava } from "../../packages/stack/src/java.ts";
import { ensureArchive } from "../../packages/stack/src/kafka-archive.ts";
import { ensureKafkaJars } from "../../packages/stack/src/kafka-jars.ts";
import { startNode } from "../../packages/stack/src/kafka.ts";
import type { KafkaNode, KafkaPorts } from "../../packages/stack/src/kafka.ts";
import type { EmbeddedJob } from "../../packages/stack/src/service.ts";

export type Cluster = Readonly<{
  bootstrapServers: string;
  size: number;
  /** Kills brokers, waits so long, and starts them again on their data. */
  crash(indexes: readonly number[], downMs: number): Promise<void>;
  /** Lets a broker's files grow no further, so that it ends; then starts it with room again. */
  fillDisk(index: number): Promise<void>;
}>;

const size = 3;
/** What a full disk still takes. */
const roomBytes = 4 * 1024;
/** A broker that is written to meets its full disk within this time. */
const fullMs = 15_000;

/** So that what is under test happens within seconds: leaders move, replicas leave the set. */
const settings = {
  "log.retention.check.interval.ms": "3000",
  "broker.heartbeat.interval.ms": "500",
  "broker.session.timeout.ms": "3000",
  "replica.lag.time.max.ms": "3000",
  // A preallocated index is not to be larger than what is in the log.
  "log.index.size.max.bytes": "65536",
  "offsets.topic.replication.factor": "3",
  // Controllers that have not heard of the rules yet would refuse each other.
  "authorizer.class.name": "",
};

export const startCluster = async (job: EmbeddedJob): Promise<Cluster> => {
  const nodes = await describeNodes(job);
  const running: Child[] = await Promise.all(nodes.map((node) => startNode(job, node)));
  const end = async (index: number): Promise<void> => {
    const child = running[index] as Child;
    process.kill(child.pid, "SIGKILL");
    await child.exited;
  };
  const start = async (index: number): Promise<void> => {
    running[index] = await startNode(job, nodes[index] as KafkaNode);
  };
  return {
    bootstrapServers: nodes.map(({ ports }) => `127.0.0.1:${ports.broker}`).join(","),
    size,
    crash: async (indexes, downMs) => {
      await Promise.all(indexes.map(end));
      await delay(downMs);
      await Promise.all(indexes.map(start));
    },
    fillDisk: async (index) => {
      await end(index);
      const node = nodes[index] as KafkaNode;
      const full = await startNode(job, withFullDisk(node)).catch(() => undefined);
      await Promise.race([full?.exited, delay(fullMs, undefined, { ref: false })]);
      const hasRoom = full?.isRunning() === true;
      await full?.stop(0);
      await start(index);
      if (hasRoom) throw new Error("the disk of a broker did not fill");
    },
  };
};

const describeNodes = async (job: EmbeddedJob): Promise<KafkaNode[]> => {
  const { host, report, stateDir } = job;
  const need = { host, report, purpose: "run the embedded Kafka" };
  const step = silentReport.step("kafka");
  const java = await ensureJava(need);
  const jars = await ensureKafkaJars(need, step);
  const archive = await ensureArchive(job, { java, jars }, step);
  const ports: KafkaPorts[] = [];
  while (ports.length < size) {
    ports.push({ broker: await choosePort([0]), controller: await choosePort([0]) });
  }
  const voters = ports.map(({ controller }, at) => `${at + 1}@127.0.0.1:${controller}`).join(",");
  const id = randomBytes(16).toString("base64url");
  return ports.map((own, at) => ({
    java,
    jars,
    dataDir: join(stateDir, `kafka-${at}`),
    logFile: join(stateDir, "logs", `kafka-${at}.log`),
    ports: own,
    jvmOptions: archive ? [`-XX:SharedArchiveFile=${archive}`, "-Xshare:auto"] : [],
    cluster: {
      id,
      settings: { ...settings, "node.id": `${at + 1}`, "controller.quorum.voters": voters },
    },
  }));
};

/** A limit of the process on the size of its files is what a full disk is to it: EFBIG, ENOSPC. */
const withFullDisk = (node: KafkaNode): KafkaNode => {
  const log = join(node.dataDir, "log");
  const files = readdirSync(log, { recursive: true, withFileTypes: true });
  const sizes = files
    .filter((file) => file.isFile() && !file.parentPath.includes("__cluster_metadata"))
    .map((file) => statSync(join(file.parentPath, file.name)).size);
  // In blocks of 512 bytes, as POSIX says for sh.
  const blocks = Math.ceil((Math.max(...sizes) + roomBytes) / 512);
  const command = join(node.dataDir, "java-with-full-disk");
  writeFileSync(command, `#!/bin/sh\nulimit -f ${blocks}\nexec '${node.java.command}' "$@"\n`);
  chmodSync(command, 0o755);
  return { ...node, java: { ...node.java, command } };
};
