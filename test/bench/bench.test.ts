/** That the benchmarks run at all; what they measure here means nothing. */

import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { testEnvironment } from "../support/environment.ts";
import { replaceSection } from "./page.ts";

const entry = join(import.meta.dirname, "main.ts");

/** Its result, when it has succeeded and complained of nothing. */
const runBench = (...args: string[]) => {
  const all = [entry, "bench", ...args, "--json", "--dry-run", "--rounds", "1"];
  const { stdout, status, stderr } = spawnSync(process.execPath, all, {
    env: testEnvironment(),
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return JSON.parse(stdout);
};

test("a small backlog is measured in every way, and its log is checked", () => {
  const result = runBench("relay", "--events", "5000", "--no-peer");
  expect(Object.keys(result.ways)).toEqual(["R0", "R1", "R2", "1 relay", "3 relays"]);
  expect(result.checked.map((one: { events: number }) => one.events)).toEqual([5000, 5000]);
  expect(result.checked.flatMap((one: { problems: string[] }) => one.problems)).toEqual([]);
}, 120_000);

test("a small topic is handled in every way, each event once and in order", () => {
  const result = runBench("consume", "--events", "5000");
  expect(Object.keys(result.ways)).toEqual(["C0", "C1", "C2", "batch", "single", "drizzle"]);
  expect(result.batches.single.max).toBeLessThanOrEqual(100);
}, 120_000);

test("the operations API is asked for everything, with and without Kafka", () => {
  const result = runBench("operations", "--events", "300");
  expect(result.lists.length).toBeGreaterThan(100);
  expect(result.lives.length + result.onKafka.length + result.previews.length).toBe(14);
}, 120_000);

test("a section is replaced, and what was written by hand stays", () => {
  const page =
    "by hand\n<!-- x: written by bun run bench x -->\nold\n<!-- end of x -->\nby hand, too\n";
  const once = replaceSection(page, "x", "new");
  expect(once).toContain("by hand\n<!-- x");
  expect(once).toContain("\n\nnew\n\n<!-- end of x -->\nby hand, too\n");
  expect(once).not.toContain("old");
  expect(replaceSection(once, "x", "new")).toBe(once);
  expect(() => replaceSection("", "x", "new")).toThrow("lacks");
});
