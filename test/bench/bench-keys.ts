/** `bench keys`: what a key that is slow, fails or is poisoned costs the others. */

import { randomUUID } from "node:crypto";
import { applyTopics } from "@outrider/broker";
import { defineTopic } from "@outrider/event";
import { connect } from "@outrider/postgres";
import { keyWays, partitions } from "./key-trouble.ts";
import { runChild } from "./sample.ts";
import type { BenchContext } from "./sample.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";
import { prepareTotals } from "./totals.ts";

/** Milliseconds. */
type Latency = Readonly<{ events: number; p50: number; p99: number }>;

/** Of the keys without trouble: those in the partition of the troubled ones, and the rest. */
const places = ["beside", "elsewhere"] as const;
type Place = (typeof places)[number];

export type KeySample = Readonly<Record<Place, Latency> & { lost: number }>;

type OfBoth = Readonly<{ p50: Spread; p99: Spread }>;

export type WayFigures = Readonly<{
  beside: OfBoth;
  elsewhere: OfBoth;
  /** Beside to elsewhere, within a run. */
  within: OfBoth;
  /** Elsewhere to elsewhere of the calm run, within a round. */
  toCalm: OfBoth;
}>;

export type KeysBench = Readonly<{
  rate: number;
  keys: number;
  seconds: number;
  rounds: number;
  partitions: number;
  ways: Readonly<Record<string, WayFigures>>;
  lost: number;
}>;

export const benchKeys = async (
  context: BenchContext,
  load: Readonly<{ rate: number; keys: number; seconds: number }>,
): Promise<KeysBench> => {
  const { stage, url, rounds, say } = context;
  const sql = connect({ url, name: "bench", poolMax: 2 });
  const samples: Record<string, KeySample[]> = {};
  const measure = async (way: string): Promise<KeySample> => {
    const topic = `bench-${randomUUID()}`;
    const topics = [defineTopic({ name: topic, partitions })];
    await applyTopics(stage, { topics, profile: "dev" });
    await prepareTotals(sql);
    await sql`truncate outrider.parked, outrider.parked_heads, outrider.dead_letters`;
    const args = [way, topic, load.rate, load.keys, load.seconds];
    return runChild<KeySample>(context, { file: "keys.node-child.ts", args });
  };
  try {
    // Not counted: a broker that has just started compiles its code.
    await measure("calm");
    for (let round = 1; round <= rounds; round += 1) {
      say(`round ${round} of ${rounds}`);
      for (const way of turned(Object.keys(keyWays), round)) {
        const sample = await measure(way);
        (samples[way] ??= []).push(sample);
        for (const place of places) {
          const { p50, p99 } = sample[place];
          say(`  ${way}, ${place}: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);
        }
      }
    }
    await sql`drop table public.bench_totals`;
    await sql`truncate outrider.inbox`;
  } finally {
    await sql.end();
  }
  const lost = Object.values(samples).flat();
  return {
    ...{ ...load, rounds, partitions, ways: figuresOf(samples) },
    lost: lost.reduce((sum, one) => sum + one.lost, 0),
  };
};

/** Each round begins with another one, so that none always has the same place. */
const turned = <T>(all: readonly T[], by: number): T[] => [
  ...all.slice(by % all.length),
  ...all.slice(0, by % all.length),
];

const figuresOf = (samples: Readonly<Record<string, readonly KeySample[]>>): KeysBench["ways"] => {
  const calm = samples.calm ?? [];
  const figures = (all: readonly KeySample[]): WayFigures => {
    const both = (of: (one: KeySample, round: number, figure: "p50" | "p99") => number) => ({
      p50: spreadOf(all.map((one, round) => of(one, round, "p50"))),
      p99: spreadOf(all.map((one, round) => of(one, round, "p99"))),
    });
    return {
      beside: both((one, _round, figure) => one.beside[figure]),
      elsewhere: both((one, _round, figure) => one.elsewhere[figure]),
      within: both(({ beside, elsewhere }, _round, figure) => beside[figure] / elsewhere[figure]),
      toCalm: both(
        ({ elsewhere }, round, figure) =>
          elsewhere[figure] / (calm[round]?.elsewhere[figure] ?? Number.NaN),
      ),
    };
  };
  return Object.fromEntries(Object.keys(keyWays).map((way) => [way, figures(samples[way] ?? [])]));
};
