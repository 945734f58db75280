/**
 * The jars of the embedded Kafka and Redis: what the pinned pom names, resolved by one run of Maven
 * with the user's own settings and mirrors, checked against our own sums, and kept in the user's
 * cache. The cache folder appears only when it is complete and verified.
 * Throws Fault `checksum_mismatch`, `missing_tool` or `unavailable` (Maven could not resolve it).
 */

import { createHash } from "node:crypto";
import { cp, readFile, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { fault } from "@outrider/event";
import { parseChecksums, verifyFolder } from "./checksums.ts";
import type { Step } from "./report.ts";
import { run } from "./run.ts";
import { withScratch } from "./scratch.ts";
import { ensureTools } from "./tools.ts";
import type { ToolNeed } from "./tools.ts";

export const kafkaVersion = "4.3.1";

export type KafkaJars = Readonly<{
  /** Cache folder of this exact set of jars; other things that depend on it may lie here, too. */
  dir: string;
  /** Kafka's: explicit and sorted, as a class-data archive needs it. */
  classPath: string;
  /** Holds a Redis server for each platform, and no class that anything here runs. */
  redisJar: string;
}>;

const packageDir = join(import.meta.dirname, "..");
const mavenTimeoutMs = 10 * 60_000;

export const ensureKafkaJars = async (need: ToolNeed, step: Step): Promise<KafkaJars> => {
  const list = await readFile(join(packageDir, "kafka-jars.sha256"), "utf8");
  const sums = parseChecksums(list);
  const setId = createHash("sha256").update(list).digest("hex").slice(0, 12);
  const parent = join(need.host.cacheDir, "kafka");
  const dir = join(parent, `${kafkaVersion}-${setId}`);
  const jars = join(dir, "jars");
  if (!(await hasAll(jars, sums))) {
    await withScratch(parent, "resolving-", async (scratch) => {
      await resolve(need, step, { scratch, expected: sums.size });
      await verifyFolder(join(scratch, "jars"), sums);
      await publish(scratch, dir);
    });
  }
  return { dir, ...sortOut(jars, [...sums.keys()]) };
};

/** Which of the jars in a folder are Kafka's, and which one is not. */
export const sortOut = (
  folder: string,
  names: readonly string[],
): Pick<KafkaJars, "classPath" | "redisJar"> => {
  const isRedis = (name: string) => name.startsWith("embedded-redis-");
  const kafka = names.filter((name) => !isRedis(name)).toSorted();
  return {
    classPath: kafka.map((name) => join(folder, name)).join(":"),
    redisJar: join(folder, names.find(isRedis) ?? ""),
  };
};

/** Whether the verified folder still has everything; its content was checked when it was made. */
const hasAll = async (jars: string, sums: ReadonlyMap<string, string>): Promise<boolean> => {
  const present = new Set(await readdir(jars).catch(() => []));
  return [...sums.keys()].every((name) => present.has(name));
};

const resolve = async (
  need: ToolNeed,
  step: Step,
  { scratch, expected }: Readonly<{ scratch: string; expected: number }>,
): Promise<void> => {
  const { host, signal } = need;
  await ensureTools(need, [{ command: "mvn", debian: "maven", brew: "maven" }]);
  await cp(join(packageDir, "pom.xml"), join(scratch, "pom.xml"));
  step.note("resolving with Maven");
  let jars = 0;
  const onLine = (line: string) => {
    if (!/Copying \S+\.jar to/.test(line)) return step.note(`resolving with Maven ${short(line)}`);
    jars += 1;
    return step.note(`${jars} of ${expected} jars`);
  };
  const { code, output } = await run(
    "mvn",
    [
      "--batch-mode",
      "dependency:copy-dependencies",
      "-DincludeScope=runtime",
      `-DoutputDirectory=${join(scratch, "jars")}`,
    ],
    { cwd: scratch, env: host.env, timeoutMs: mavenTimeoutMs, signal, onLine },
  );
  if (code === 0) return;
  const why = output.split("\n").find((line) => line.includes("[ERROR]")) ?? "";
  throw fault(
    "unavailable",
    `Maven could not fetch the jars: ${why.replace("[ERROR]", "").trim()}`,
    {
      details: { output },
    },
  );
};

/** The file name of a line that says what is being downloaded. */
const short = (line: string): string => /Download\w+ from .*\/([^/\s]+)/.exec(line)?.[1] ?? "";

const publish = async (scratch: string, dir: string): Promise<void> => {
  // What lies there is incomplete, or another start has just been faster with the same files.
  await rm(dir, { recursive: true, force: true });
  await rename(scratch, dir).catch(async (error: unknown) => {
    if (!(await stat(join(dir, "jars")).catch(() => undefined))) throw error;
  });
};
