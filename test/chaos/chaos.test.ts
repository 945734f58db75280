/** The test run's share of faults: one fixed seed, a minute of them. */

import { expect, test } from "bun:test";
import { testEnvironment } from "../support/environment.ts";
import { runChaos } from "./run-chaos.ts";

test("nothing is lost or swapped while everything fails in turn", async () => {
  const report = await runChaos({
    seed: 20_261_121,
    seconds: 60,
    lateMs: 6000,
    longMs: 6000,
    env: testEnvironment(),
    say: () => {},
  });
  expect(report.violations).toEqual([]);
  expect(Object.keys(report.faults).length).toBeGreaterThan(10);
  expect(report.committed).toBeGreaterThan(1000);
  console.log(
    `${report.committed} events, ${report.duplicates} duplicates, drained in ` +
      `${(report.drainMs / 1000).toFixed(1)} s`,
  );
}, 180_000);
