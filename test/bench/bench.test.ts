/** That the benchmarks run at all; what they measure here means nothing. */

import { beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { testEnvironment } from "../support/environment.ts";
import { replaceSection } from "./page.ts";

const entry = join(import.meta.dirname, "main.ts");

/** Its result, when it has succeeded and complained of nothing. */
const runBench = async (...args: string[]) => {
  const all = [entry, "bench", ...args, "--json", "--dry-run", "--rounds", "1"];
  const child = Bun.spawn([process.execPath, ...all], {
    ...{ env: testEnvironment(), stdout: "pipe", stderr: "pipe" },
  });
  const texts = [new Response(child.stdout).text(), new Response(child.stderr).text()];
  const [stdout = "", stderr = ""] = await Promise.all(texts);
  return { stdout, stderr, code: await child.exited };
};

/** They begin together: most of each is waiting for services of its own. */
const running = {} as Record<string, ReturnType<typeof runBench>>;
beforeAll(() => {
  running.relay = runBench("relay", "--events", "5000", "--no-peer");
  running.consume = runBench("consume", "--events", "5000");
  running.operations = runBench("operations", "--events", "300");
});

const resultOf = async (name: string) => {
  const done = await running[name];
  expect([done?.stderr, done?.code]).toEqual(["", 0]);
  return JSON.parse(done?.stdout ?? "");
};

test("a small backlog is measured in every way, and its log is checked", async () => {
  const result = await resultOf("relay");
  expect(Object.keys(result.ways)).toEqual(["R0", "R1", "R2", "1 relay", "3 relays"]);
  expect(result.checked.map((one: { events: number }) => one.events)).toEqual([5000, 5000]);
  expect(result.checked.flatMap((one: { problems: string[] }) => one.problems)).toEqual([]);
}, 240_000);

test("a small topic is handled in every way, each event once and in order", async () => {
  const result = await resultOf("consume");
  expect(Object.keys(result.ways)).toEqual(["C0", "C1", "C2", "batch", "single", "drizzle"]);
  expect(result.batches.single.max).toBeLessThanOrEqual(100);
}, 240_000);

test("the operations API is asked for everything, with and without Kafka", async () => {
  const result = await resultOf("operations");
  expect(result.lists.length).toBeGreaterThan(100);
  expect(result.lives.length + result.onKafka.length + result.previews.length).toBe(14);
}, 240_000);

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
