/**
 * Apache Kafka in KRaft mode on the machine's Java, as a child process: one node that is broker
 * and controller, on loopback only. Its data survives a restart, also on other ports.
 * Throws Fault `unavailable` with the end of its log when it does not come up.
 */

import { randomBytes, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fault } from "@outrider/event";
import { startChild } from "./child.ts";
import type { Child } from "./child.ts";
import type { Java } from "./java.ts";
import { ensureJavaParts } from "./java-parts.ts";
import { ensureArchive } from "./kafka-archive.ts";
import { kafkaVersion } from "./kafka-jars.ts";
import type { KafkaJars } from "./kafka-jars.ts";
import { waitForKafka } from "./kafka-ready.ts";
import { lastWords } from "./last-words.ts";
import { ownEnv } from "./own-env.ts";
import { isTaken, portTaken } from "./port-taken.ts";
import { run } from "./run.ts";
import type { EmbeddedJob, RunningService } from "./service.ts";

export type KafkaPorts = Readonly<{
  broker: number;
  controller: number;
  /** Where clients are told to go, when that is not the broker itself, such as a proxy. */
  advertised?: number;
}>;

/** Everything that is needed to start one node. */
export type KafkaNode = Readonly<{
  java: Java;
  jars: KafkaJars;
  dataDir: string;
  logFile: string;
  ports: KafkaPorts;
  /** Options of the JVM beyond those that every node has. */
  jvmOptions: readonly string[];
  /** Of the server, over those that every node has. */
  settings?: Readonly<Record<string, string>>;
  /** What makes it one of several; alone otherwise. */
  cluster?: Readonly<{ id: string; settings: Readonly<Record<string, string>> }>;
}>;

const propertiesFile = "server.properties";
const formatTimeoutMs = 60_000;
const readyTimeoutMs = 60_000;
/** After a start that failed. */
const killAfterMs = 2_000;

/** For dev and tests: small, and quick to start rather than quick in the long run. */
const jvmOptions = [
  "-Xms64m",
  "-Xmx512m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  // Nothing is to be left in the machine's folder for temporary files.
  "-XX:-UsePerfData",
];
const logOptions = [
  "-Dorg.slf4j.simpleLogger.showDateTime=true",
  "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
  "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
];

/** Beyond what every node has; options of the JVM come last, so they win over ours. */
export type NodeOptions = Partial<Pick<KafkaNode, "jvmOptions" | "settings">>;

export const startKafka = async (
  job: EmbeddedJob,
  ports: KafkaPorts,
  { jvmOptions: extraOptions = [], settings = {} }: NodeOptions = {},
): Promise<RunningService> => {
  const { host, report, signal, stateDir } = job;
  const step = report.step("kafka");
  try {
    const need = { host, report, signal, purpose: "run the embedded Kafka" };
    const { java, jars } = await (job.ensureJavaParts ?? ensureJavaParts)(need, step);
    const archive = await ensureArchive(job, { java, jars }, step);
    const node = {
      java,
      jars,
      dataDir: join(stateDir, "kafka"),
      logFile: join(stateDir, "logs", "kafka.log"),
      ports,
      settings,
      jvmOptions: [
        ...(archive ? [`-XX:SharedArchiveFile=${archive}`, "-Xshare:auto"] : []),
        ...extraOptions,
      ],
    };
    step.note("starting");
    const child = await startNode(job, node);
    const url = `127.0.0.1:${ports.broker}`;
    return { url, edition: `embedded ${kafkaVersion}`, ...child };
  } finally {
    step.end();
  }
};

/** Formats where needed, starts one node, and waits for a metadata answer of a cluster with it. */
export const startNode = async (job: EmbeddedJob, node: KafkaNode): Promise<Child> => {
  await rm(join(node.dataDir, "tmp"), { recursive: true, force: true });
  await mkdir(join(node.dataDir, "tmp"), { recursive: true });
  // Metadata answers tell a broker's rack. This start's own one tells it from any other's.
  const rack = randomUUID();
  await writeFile(join(node.dataDir, propertiesFile), propertiesOf(node, { "broker.rack": rack }));
  if (!existsSync(join(node.dataDir, "log"))) await format(job, node);
  const child = await startChild({
    name: "kafka",
    command: node.java.command,
    args: [...javaArgs(node), "kafka.Kafka", propertiesFile],
    cwd: node.dataDir,
    env: ownEnv(job.host.env),
    logFile: node.logFile,
  });
  job.onStart(child);
  try {
    await ready(job, { child, node, rack });
    return child;
  } catch (error) {
    await child.stop(killAfterMs);
    const { broker } = node.ports;
    if (!job.signal?.aborted && (await isTaken(broker, child.log()))) {
      throw portTaken("kafka", broker, error);
    }
    throw error;
  }
};

const javaArgs = (node: KafkaNode): readonly string[] => [
  ...jvmOptions,
  ...node.jvmOptions,
  ...logOptions,
  `-Djava.io.tmpdir=${join(node.dataDir, "tmp")}`,
  "-cp",
  node.jars.classPath,
];

const propertiesOf = (
  { ports, settings, cluster }: KafkaNode,
  own: Readonly<Record<string, string>> = {},
): string => serverProperties(ports, { ...own, ...settings, ...cluster?.settings });

/** `settings` come last, so they win over ours. */
const serverProperties = (
  ports: KafkaPorts,
  settings: Readonly<Record<string, string>> = {},
): string => {
  const broker = `PLAINTEXT://127.0.0.1:${ports.broker}`;
  const advertised = `PLAINTEXT://127.0.0.1:${ports.advertised ?? ports.broker}`;
  const controller = `CONTROLLER://127.0.0.1:${ports.controller}`;
  const properties = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.quorum.bootstrap.servers": `127.0.0.1:${ports.controller}`,
    listeners: `${broker},${controller}`,
    "advertised.listeners": `${advertised},${controller}`,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    // From the folder it runs in: a whole path may have a comma, which begins another one here, and
    // letters that are no Latin-1, which is all that this file takes.
    "log.dirs": "log",
    "auto.create.topics.enable": "false",
    // Whoever sets an access rule sees it obeyed; without one everything is allowed.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    "group.initial.rebalance.delay.ms": "0",
    // A worker that was killed is missed after 6 s instead of 45, and joins are quick.
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "500",
    "offsets.topic.num.partitions": "8",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    ...settings,
  };
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
};

/** Formats a folder that is renamed into place only when the tool has succeeded. */
const format = async (job: EmbeddedJob, node: KafkaNode): Promise<void> => {
  const scratch = join(node.dataDir, "formatting");
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  await writeFile(join(scratch, propertiesFile), propertiesOf(node));
  // May begin with "-", so it is never an argument of its own.
  const clusterId = node.cluster?.id ?? randomBytes(16).toString("base64url");
  const alone = node.cluster ? [] : ["--standalone"];
  const command = ["format", `--cluster-id=${clusterId}`, "-c", propertiesFile, ...alone];
  const { code, output } = await run(
    node.java.command,
    [...javaArgs(node), "kafka.tools.StorageTool", ...command],
    { cwd: scratch, env: ownEnv(job.host.env), timeoutMs: formatTimeoutMs, signal: job.signal },
  );
  if (code !== 0) {
    const why = lastWords(output);
    throw fault("unavailable", `Kafka's storage could not be formatted: ${why}`);
  }
  await rename(join(scratch, "log"), join(node.dataDir, "log"));
  await rm(scratch, { recursive: true, force: true });
};

type Starting = Readonly<{ child: Child; node: KafkaNode; rack: string }>;

const ready = (job: EmbeddedJob, { child, node, rack }: Starting): Promise<void> =>
  waitForKafka(
    { bootstrapServers: `127.0.0.1:${node.ports.broker}` },
    {
      timeoutMs: readyTimeoutMs,
      signal: job.signal,
      rack,
      check: () => {
        if (child.isRunning()) return;
        const log = lastWords(child.log());
        throw fault("unavailable", `Kafka ended while starting; ${node.logFile} says:\n${log}`);
      },
    },
  );
