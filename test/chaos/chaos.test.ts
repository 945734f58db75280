/** The test run's share of faults: fixed seeds, 30 s each, longer on a busy machine. */

import { expect, test } from "bun:test";
import { testEnvironment } from "../support/environment.ts";
import { runChaos } from "./run-chaos.ts";
import type { ChaosReport } from "./run-chaos.ts";

const run = (seed: number, brokers: 1 | 3, without?: RegExp) =>
  runChaos({
    ...{ seed, seconds: 30, brokers, lateMs: 6000, longMs: 6000, pausedMs: 9000, pauseMs: 120 },
    ...(without ? { without, kindsMin: Infinity } : { kindsMin: 8 }),
    env: testEnvironment(),
    say: () => {},
  });

const summaryOf = ({ committed, duplicates, drainMs }: ChaosReport): string =>
  `${committed} events, ${duplicates} duplicates, drained in ${(drainMs / 1000).toFixed(1)} s`;

test("nothing is lost or swapped while everything fails in turn", async () => {
  const report = await run(20_261_121, 1);
  expect(report.violations).toEqual([]);
  expect(Object.keys(report.faults).length).toBeGreaterThan(7);
  expect(report.committed).toBeGreaterThan(1000);
  expect(report.effects).toBeGreaterThan(3000);
  console.log(summaryOf(report));
}, 360_000);

test("nor while brokers of a cluster are killed, and have no room on their disks", async () => {
  const report = await run(7, 3, /worker|Redis|Postgres/);
  expect(report.violations).toEqual([]);
  const kinds = Object.keys(report.faults);
  expect(kinds.filter((kind) => kind.includes("broker"))).toHaveLength(3);
  console.log(summaryOf(report));
}, 360_000);
