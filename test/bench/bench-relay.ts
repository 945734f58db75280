/** `bench relay`: how fast a backlog is drained, against what is possible at all. */

import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { fillOutbox } from "./backlog.ts";
import type { OrderResult } from "./order-check.ts";
import { startBenchRelay, timeDrain } from "./relay-process.ts";
import { measureChild, perMillion, ratioOf, readBefore, readCosts, runChild } from "./sample.ts";
import { spreadsOf } from "./sample.ts";
import type { BenchContext, Sample, SampleSpreads, SamplesByWay } from "./sample.ts";
import type { Spread } from "./statistics.ts";

export type RelayBench = Readonly<{
  events: number;
  keys: number;
  rounds: number;
  /** The peer's backlog is smaller, since it looks through all of it for each batch. */
  peer?: Load;
  ways: Readonly<Record<string, SampleSpreads>>;
  /** Of rates, within a round. */
  ratios: Readonly<Record<string, Spread>>;
  checked: readonly OrderResult[];
}>;

const partitions = 12;

const createTopic = async ({ stage }: BenchContext): Promise<string> => {
  const name = `bench-${randomUUID()}`;
  const topics = [defineTopic({ name, partitions })];
  await applyTopics(stage, { topics, profile: "dev" });
  return name;
};

type Load = Readonly<{ events: number; keys: number }>;

const peerMax: Load = { events: 20_000, keys: 1000 };

/** The peer's packages are no part of the project: they are installed for the measurement. */
const installPeer = (folder: string): string => {
  const cwd = join(folder, "peer");
  cpSync(join(import.meta.dirname, "peer"), cwd, { recursive: true });
  const args = ["install", "--frozen-lockfile", "--ignore-scripts"];
  const result = spawnSync(process.execPath, args, { cwd, encoding: "utf8", timeout: 120_000 });
  if (result.status !== 0) throw new Error(`The peer cannot be installed: ${result.stderr}`);
  return cwd;
};

export const benchRelay = async (
  context: BenchContext,
  { hasPeer, ...load }: Load & Readonly<{ hasPeer: boolean }>,
): Promise<RelayBench> => {
  const peerFolder = hasPeer && installPeer(context.folder);
  const peer = {
    events: Math.min(peerMax.events, load.events),
    keys: Math.min(peerMax.keys, load.keys),
  };
  const sql = connect({ url: context.url, name: "bench", poolMax: 2 });
  const samples: Record<string, Sample[]> = {};
  const checked: OrderResult[] = [];
  const add = (way: string, sample: Sample) => {
    (samples[way] ??= []).push(sample);
    context.say(`  ${way.padEnd(9)} ${Math.round(sample.eventsPerS).toLocaleString("en-US")}/s`);
  };
  const check = (topic: string, events: number) =>
    checked.push(
      runChild<OrderResult>(context, { file: "verify.node-child.ts", args: [topic, events] }),
    );
  try {
    for (let round = 1; round <= context.rounds; round += 1) {
      context.say(`round ${round} of ${context.rounds}`);
      const bound = async (way: string, topic: string) => {
        const args = [way, topic, load.events, load.keys];
        return (await measureChild(context, sql, { file: "bounds.node-child.ts", args })).sample;
      };
      add("R0", await bound("r0", await createTopic(context)));
      await fillOutbox(sql, { topic: "bench-none", ...load });
      add("R1", await bound("r1", "bench-none"));
      add("R2", await bound("r2", await createTopic(context)));
      for (const relays of [1, 3]) {
        const topic = await createTopic(context);
        await fillOutbox(sql, { topic, ...load });
        add(
          `${relays} relay${relays > 1 ? "s" : ""}`,
          await measureRelays(context, sql, { relays, ...load }),
        );
        check(topic, load.events);
      }
      if (!peerFolder) continue;
      const peerTopic = await createTopic(context);
      const args = [peerFolder, peerTopic, peer.events, peer.keys];
      const measured = await measureChild(context, sql, { file: "peer.node-child.ts", args });
      add("peer", measured.sample);
      check(peerTopic, peer.events);
    }
  } finally {
    await sql.end();
  }
  const { rounds } = context;
  return { ...load, ...(hasPeer && { peer }), rounds, ...summarize(samples), checked };
};

const measureRelays = async (
  context: BenchContext,
  sql: Sql,
  { relays, events }: Load & Readonly<{ relays: number }>,
): Promise<Sample> => {
  const before = await readBefore(context, sql);
  const options = { folder: context.folder, url: context.url, waitReady: false };
  const started = await Promise.all(
    Array.from({ length: relays }, () => startBenchRelay(context.stage, options)),
  );
  try {
    const ms = await timeDrain(sql);
    const rest = perMillion(events, {
      clientCpuS: started.reduce((sum, relay) => sum + relay.cpuS(), 0),
      ...(await readCosts(context, sql, before)),
    });
    return {
      eventsPerS: (events / ms) * 1000,
      rssBytes: Math.max(...started.map((relay) => relay.rssMax())),
      ...rest,
    };
  } finally {
    await Promise.all(started.map((relay) => relay.stop()));
  }
};

const summarize = (samples: SamplesByWay) => ({
  ways: spreadsOf(samples),
  ratios: {
    "1 relay / R2": ratioOf(samples, "1 relay", "R2"),
    ...(samples.peer && { "1 relay / peer": ratioOf(samples, "1 relay", "peer") }),
    "3 relays / 1 relay": ratioOf(samples, "3 relays", "1 relay"),
    "R2 / R0": ratioOf(samples, "R2", "R0"),
  },
});
