/**
 * A class-data archive for the embedded Kafka: with it the broker is ready in about half the time.
 * It is made once per user, jar set and Java build by starting and stopping a node on scratch data
 * (-XX:ArchiveClassesAtExit). It only saves time, so nothing here ever fails a start.
 */

import { createHash } from "node:crypto";
import { existsSync, realpathSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import type { Java } from "./java.ts";
import { startNode } from "./kafka.ts";
import type { KafkaJars } from "./kafka-jars.ts";
import { choosePort } from "./ports.ts";
import type { Step } from "./report.ts";
import { withScratch } from "./scratch.ts";
import type { EmbeddedJob } from "./service.ts";

const dumpTimeoutMs = 30_000;

/** The path of the archive, or undefined where none could be made. */
export const ensureArchive = async (
  job: EmbeddedJob,
  { java, jars }: Readonly<{ java: Java; jars: KafkaJars }>,
  step: Step,
): Promise<string | undefined> => {
  // One Java has many names: /usr/bin/java is a link, and a PATH may hold another one.
  const command = realpathSync(java.command);
  const id = createHash("sha256").update(command).update(java.id).digest("hex");
  const archive = join(jars.dir, `classes-${id.slice(0, 12)}.jsa`);
  if (existsSync(archive)) return archive;
  step.note("preparing fast starts");
  return withScratch(jars.dir, "archiving-", async (scratch) => {
    const made = join(scratch, "classes.jsa");
    const node = await startNode(job, {
      java,
      jars,
      dataDir: join(scratch, "data"),
      logFile: join(scratch, "kafka.log"),
      ports: { broker: await choosePort([]), controller: await choosePort([]) },
      jvmOptions: [`-XX:ArchiveClassesAtExit=${made}`],
    });
    const onAbort = () => void node.stop(0);
    job.signal?.addEventListener("abort", onAbort, { once: true });
    await node.stop(dumpTimeoutMs);
    job.signal?.removeEventListener("abort", onAbort);
    await rename(made, archive);
    return archive;
  }).catch(() => {
    job.signal?.throwIfAborted();
    return undefined;
  });
};
