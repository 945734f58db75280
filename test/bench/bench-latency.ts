/** `bench latency`: from the commit's return to the consumer, at steady rates, and idle cost. */

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { testEnvironment } from "../support/environment.ts";
import type { BenchContext } from "./sample.ts";
import { startBenchRelay } from "./relay-process.ts";

export type Percentiles = Readonly<{ p50: number; p99: number; p999: number; max: number }>;

export type Way = "relay" | "direct";

/** Milliseconds. */
export type LatencySample = Readonly<{
  /** Through outbox and relay, or from the writer straight to Kafka. */
  way: Way;
  rate: number;
  events: number;
  lost: number;
  /** From the return of COMMIT to the consumer. */
  sinceCommit: Percentiles;
  /** From when the event was to be written: nothing is hidden by a writer that waits. */
  sinceIntended: Percentiles;
}>;

export type LatencyBench = Readonly<{
  seconds: number;
  samples: readonly LatencySample[];
  /** Of one core, without events. */
  idleCorePercent: number;
}>;

const idleS = 15;

/** Not counted: a broker that has just started compiles its code for so long. */
const warmUp = { rate: 500, seconds: 15 };

export const benchLatency = async (
  context: BenchContext,
  { rates, seconds }: Readonly<{ rates: readonly number[]; seconds: number }>,
): Promise<LatencyBench> => {
  const { stage, folder, url, say } = context;
  const relay = await startBenchRelay(stage, { folder, url, waitReady: true });
  try {
    const measure = async (way: Way, rate: number, forS: number): Promise<LatencySample> => {
      const topic = `bench-${randomUUID()}`;
      const topics = [defineTopic({ name: topic, partitions: 12 })];
      await applyTopics(stage, { topics, profile: "dev" });
      return runWriter(context, [way, topic, rate, forS]);
    };
    await measure("relay", warmUp.rate, warmUp.seconds);
    const samples: LatencySample[] = [];
    for (let round = 1; round <= context.rounds; round += 1) {
      for (const rate of rates) {
        for (const way of ["direct", "relay"] as const) {
          const sample = await measure(way, rate, seconds);
          samples.push(sample);
          const { p50, p99 } = sample.sinceCommit;
          const times = `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, lost ${sample.lost}`;
          say(`  ${way.padEnd(6)} ${rate}/s: ${times}`);
        }
      }
    }
    await delay(2000);
    const before = relay.cpuS();
    await delay(idleS * 1000);
    const idleCorePercent = ((relay.cpuS() - before) / idleS) * 100;
    say(`  idle: ${idleCorePercent.toFixed(2)} % of a core`);
    return { seconds, samples, idleCorePercent };
  } finally {
    await relay.stop();
  }
};

const runWriter = async (
  { stage, url }: BenchContext,
  args: readonly (string | number)[],
): Promise<LatencySample> => {
  const file = join(import.meta.dirname, "latency.node-child.ts");
  const child = spawn(stage.nodePath, [file, ...args.map(String)], {
    env: {
      ...testEnvironment(),
      DATABASE_URL: url,
      KAFKA_BOOTSTRAP_SERVERS: stage.bootstrapServers,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`the writer ended with ${code}`);
  const sample = JSON.parse(output.trim().split("\n").at(-1) ?? "") as Omit<LatencySample, "way">;
  return { way: args[0] as Way, ...sample };
};
