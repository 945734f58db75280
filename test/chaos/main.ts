/**
 * `bun run chaos [--minutes N] [--seed S] [--brokers 3]`: faults for as long as that, and
 * docs/faults.md with what came of it. Exit code 1 when something does not hold; the seed gives
 * the same faults again.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { testEnvironment } from "../support/environment.ts";
import { formatPage } from "../support/format-page.ts";
import { reportText } from "./report-text.ts";
import { runChaos } from "./run-chaos.ts";

const page = join(import.meta.dirname, "../../docs/faults.md");
const usage = `Usage: bun run chaos [options]

  --minutes N   how long faults are injected (3)
  --seed S      gives the same faults again (the time)
  --brokers N   1 or 3 (1)
`;

const { values } = parseArgs({
  args: process.argv.slice(2).filter((arg) => arg !== "chaos"),
  options: {
    minutes: { type: "string", default: "3" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    brokers: { type: "string", default: "1" },
    help: { type: "boolean", short: "h", default: false },
  },
});
const minutes = Number(values.minutes);
const seed = Number(values.seed);
if (values.help) {
  console.log(usage);
  process.exit(0);
}
if (!(minutes > 0) || !Number.isInteger(seed) || !["1", "3"].includes(values.brokers)) {
  console.error(usage);
  process.exit(2);
}
const brokers = values.brokers === "3" ? 3 : 1;
const begin = `<!-- written by bun run chaos --brokers ${brokers} -->`;
const end = `<!-- end of --brokers ${brokers} -->`;

console.log(`seed ${seed}, ${minutes} minutes, ${brokers} brokers`);
const isLong = minutes >= 5;
const report = await runChaos({
  seed,
  seconds: minutes * 60,
  lateMs: isLong ? 60_000 : 8000,
  longMs: isLong ? 45_000 : 8000,
  pausedMs: isLong ? 70_000 : 12_000,
  env: testEnvironment(),
  brokers,
  say: (line) => console.log(line),
});
const text = reportText(report);
console.log(text);
const before = readFileSync(page, "utf8");
const [head = "", tail = ""] = [before.split(begin)[0], before.split(end)[1]];
writeFileSync(page, `${head}${begin}\n\n${text}\n${end}${tail}`);
formatPage(page);
if (report.violations.length > 0) {
  console.log(`again: bun run chaos --minutes ${minutes} --seed ${seed} --brokers ${brokers}`);
  process.exit(1);
}
process.exit(0);
