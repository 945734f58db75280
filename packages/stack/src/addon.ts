/**
 * Makes the native part of the Confluent client loadable under the pinned Node, once: what is in
 * place is tried first, then the per-user cache, then the vendor's prebuilt binary, then a
 * compiler. A second clone of the project finds it in the cache.
 * Throws Fault `missing_tool` with the command that installs what a compilation lacks.
 */

import { cp, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fault } from "@outrider/event";
import { compileAddon, copyClient, fetchPrebuilt, publishBuild } from "./addon-build.ts";
import type { Host } from "./host.ts";
import { findNodeBinary } from "./node-binary.ts";
import type { NodeBinary } from "./node-binary.ts";
import { notWritable } from "./not-writable.ts";
import { ownEnv } from "./own-env.ts";
import type { Report } from "./report.ts";
import { run } from "./run.ts";
import { withScratch } from "./scratch.ts";

export type AddonJob = Readonly<{
  host: Host;
  report: Report;
  signal?: AbortSignal;
  node: NodeBinary;
}>;

const clientName = "@confluentinc/kafka-javascript";
const loadTimeoutMs = 20_000;

/**
 * Gives the pinned Node once it can load the client that `importer` (the manifest of the package
 * that depends on it) would get.
 */
export const ensureAddon = async (
  setting: Readonly<{ host: Host; report: Report; signal?: AbortSignal; importer: string }>,
): Promise<NodeBinary> => {
  const node = findNodeBinary(setting.host);
  const job = { ...setting, node };
  const clientDir = dirname(createRequire(setting.importer).resolve(`${clientName}/package.json`));
  if (await loads(job, clientDir)) return node;
  const cached = join(setting.host.cacheDir, "addon", await cacheKey(job, clientDir));
  if (await restore(job, cached, clientDir)) return node;
  await makeCached(job, clientDir, cached);
  if (await restore(job, cached, clientDir)) return node;
  throw fault("internal", `The Kafka client's addon was made in ${cached} and does not load.`);
};

/** What a binary depends on: the client, the ABI of Node, and the machine with its C library. */
const cacheKey = async (job: AddonJob, clientDir: string): Promise<string> => {
  const manifest = await readFile(join(clientDir, "package.json"), "utf8");
  const { version } = JSON.parse(manifest) as { version: string };
  const script =
    "const c = process.report.getReport().header.glibcVersionRuntime;" +
    "process.stdout.write(process.versions.modules + (c ? '-glibc' : ''))";
  const { output } = await runNode(job, ["-e", script]);
  return `kafka-javascript-${version}-node${output}-${job.host.platform}-${job.host.arch}`;
};

/** Tries to load the client; a broken addon may end the process, so never in ours. */
const loads = async (job: AddonJob, clientDir: string): Promise<boolean> => {
  const script = `process.stdout.write(require(${JSON.stringify(clientDir)}).librdkafkaVersion)`;
  const { code } = await runNode(job, ["-e", script]);
  return code === 0;
};

const runNode = (job: AddonJob, args: readonly string[]) =>
  run(job.node.path, args, {
    env: ownEnv(job.host.env),
    timeoutMs: loadTimeoutMs,
    signal: job.signal,
  });

/** Copies the cached build into the installed package; false when there is none that loads. */
const restore = async (job: AddonJob, cached: string, clientDir: string): Promise<boolean> => {
  const target = join(clientDir, "build");
  const fresh = await mkdtemp(join(clientDir, "build-")).catch((cause: unknown) => {
    throw notWritable(clientDir, cause, "make the checkout writable for the first start");
  });
  try {
    await cp(cached, fresh, { recursive: true, verbatimSymlinks: true });
    await rm(target, { recursive: true, force: true });
    await rename(fresh, target);
  } catch {
    // It is not cached, or somebody else has put it there in the same moment.
    await rm(fresh, { recursive: true, force: true });
  }
  return loads(job, clientDir);
};

/** Builds in a scratch folder beside the cache and renames the result into place. */
const makeCached = async (job: AddonJob, clientDir: string, cached: string): Promise<void> => {
  const step = job.report.step("Kafka client");
  try {
    await withScratch(dirname(cached), "building-", async (scratch) => {
      const copy = await copyClient(clientDir, scratch);
      step.note("fetching its prebuilt addon");
      const isPrebuilt = (await fetchPrebuilt(job, copy)) && (await loads(job, copy.dir));
      if (!isPrebuilt) await compileAddon(job, copy, step);
      await rm(cached, { recursive: true, force: true });
      await publishBuild(copy.dir, scratch, cached);
    });
  } finally {
    step.end();
  }
};
