/**
 * `bun run chaos [--minutes N] [--seed S]`: faults for as long as that, and docs/faults.md with
 * what came of it. Exit code 1 when something does not hold; the seed gives the same faults again.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { testEnvironment } from "../support/environment.ts";
import { reportText } from "./report-text.ts";
import { runChaos } from "./run-chaos.ts";

const page = join(import.meta.dirname, "../../docs/faults.md");
const begin = "<!-- written by bun run chaos -->";
const end = "<!-- end -->";

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "chaos"),
  options: {
    minutes: { type: "string", default: "3" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (!(minutes > 0) || !Number.isInteger(seed)) {
  console.error("--minutes is a number above 0 and --seed a whole number");
  process.exit(2);
}

console.log(`seed ${seed}, ${minutes} minutes`);
const isLong = minutes >= 5;
const report = await runChaos({
  seed,
  seconds: minutes * 60,
  lateMs: isLong ? 60_000 : 8000,
  longMs: isLong ? 45_000 : 8000,
  env: testEnvironment(),
  say: (line) => console.log(line),
});
const text = reportText(report);
console.log(text);
const before = readFileSync(page, "utf8");
const [head = "", tail = ""] = [before.split(begin)[0], before.split(end)[1]];
writeFileSync(page, `${head}${begin}\n\n${text}\n${end}${tail}`);
if (report.violations.length > 0) {
  console.log(`again: bun run chaos --minutes ${minutes} --seed ${seed}`);
  process.exit(1);
}
process.exit(0);
