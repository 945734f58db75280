/** What the embedded Kafka and Redis need of Java and Maven, which is got once for both. */

import { ensureJava } from "./java.ts";
import type { Java } from "./java.ts";
import { ensureKafkaJars } from "./kafka-jars.ts";
import type { KafkaJars } from "./kafka-jars.ts";
import type { Step } from "./report.ts";
import type { ToolNeed } from "./tools.ts";

export type JavaParts = Readonly<{ java: Java; jars: KafkaJars }>;

export type EnsureJavaParts = (need: ToolNeed, step: Step) => Promise<JavaParts>;

/** Throws what `ensureJava` and `ensureKafkaJars` throw. */
export const ensureJavaParts: EnsureJavaParts = async (need, step) => {
  const java = await ensureJava(need);
  return { java, jars: await ensureKafkaJars(need, step) };
};

/**
 * For services that start side by side: whoever asks first does the work, for all. Two runs of
 * apt-get would find each other's lock, and two runs of Maven would fetch everything twice.
 */
export const sharedOnce = (ensure: EnsureJavaParts): EnsureJavaParts => {
  let parts: Promise<JavaParts> | undefined;
  return (need, step) => (parts ??= ensure(need, step));
};
