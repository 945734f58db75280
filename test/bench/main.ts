/**
 * `bun run bench NAME`: measures on services of its own, writes its part of docs/performance.md,
 * and never fails for a time. The names stand below.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { silentReport } from "@outrider/stack";
import { migrateAll } from "@outrider/postgres/migrate";
import { testEnvironment } from "../support/environment.ts";
import { benchConsume } from "./bench-consume.ts";
import { benchHorizon } from "./bench-horizon.ts";
import { benchKeys } from "./bench-keys.ts";
import { benchLatency } from "./bench-latency.ts";
import { benchLetters } from "./bench-letters.ts";
import { benchMemory } from "./bench-memory.ts";
import { benchOperations } from "./bench-operations.ts";
import { benchRelay } from "./bench-relay.ts";
import type { BenchContext } from "./sample.ts";
import { benchWrite } from "./bench-write.ts";
import { writeLatencySection, writeRelaySection, writeWriteSection } from "./page.ts";
import { writeConsumeSection } from "./page-consume.ts";
import { writeKeysSection } from "./page-keys.ts";
import { writeHorizonSection, writeLettersSection, writeMemorySection } from "./page-more.ts";
import { writeOperationsSection } from "./page-operations.ts";
import { startBenchStage } from "./stage.ts";

const usage = `Usage: bun run bench NAME [options]

  NAME            relay, latency, write, consume, keys, letters, operations, horizon or
                  memory

  --rounds N      relay, latency, write, consume, keys: how often everything is measured, in
                  turn; letters, operations: five times as often (3)
  --events N      relay, memory, consume: size of the backlog (1000000; memory 10000000,
                  consume 200000); letters: how many; operations: how many of each, and of
                  inbox rows a hundred times as many (100000)
  --seconds N     latency, write, keys, memory, letters: length of each measurement (10; keys 30,
                  memory 60)
  --minutes N     horizon: how long a snapshot is held (10)
  --rates N,...   latency, keys: events a second (100,500,1000,5000; keys 300)
  --clients N,... write: transactions at a time (1,8,16)
  --no-peer       relay: leaves out the peer, whose packages are installed for the run
  --dry-run       leaves docs/performance.md alone
  --json          prints the result as JSON
`;

const options = {
  json: { type: "boolean", default: false },
  rounds: { type: "string", default: "3" },
  events: { type: "string" },
  seconds: { type: "string" },
  minutes: { type: "string", default: "10" },
  rates: { type: "string" },
  clients: { type: "string", default: "1,8,16" },
  "no-peer": { type: "boolean", default: false },
  "dry-run": { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

const refuse = (message: string): never => {
  console.error(`${message}\n\n${usage}`);
  process.exit(2);
};

const parse = () => {
  try {
    const args = process.argv.slice(process.argv.indexOf("bench") + 1);
    return parseArgs({ args, allowPositionals: true, options });
  } catch (error) {
    return refuse((error as Error).message);
  }
};

const { values, positionals } = parse();
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const [name = ""] = positionals;
const backlogs: Readonly<Partial<Record<string, number>>> = {
  memory: 10_000_000,
  consume: 200_000,
  letters: 100_000,
  operations: 100_000,
};
const events = Number(values.events ?? backlogs[name] ?? 1_000_000);
const lengths: Readonly<Partial<Record<string, number>>> = { memory: 60, keys: 30 };
const seconds = Number(values.seconds ?? lengths[name] ?? 10);
const [rounds, minutes] = [values.rounds, values.minutes].map(Number) as [number, number];
const rateTexts = values.rates ?? (name === "keys" ? "300" : "100,500,1000,5000");
const [rates, clients] = [rateTexts, values.clients].map((text) => text.split(",").map(Number)) as [
  number[],
  number[],
];
const isPage = !values["dry-run"];

const benches = {
  relay: async (context: BenchContext) => {
    const load = { events, keys: Math.min(100_000, events) };
    const result = await benchRelay(context, { ...load, hasPeer: !values["no-peer"] });
    if (isPage) writeRelaySection(result);
    return result;
  },
  latency: async (context: BenchContext) => {
    const result = await benchLatency(context, { rates, seconds });
    if (isPage) writeLatencySection(result);
    return result;
  },
  write: async (context: BenchContext) => {
    const result = await benchWrite(context, { clients, seconds });
    if (isPage) writeWriteSection(result);
    return result;
  },
  consume: async (context: BenchContext) => {
    const result = await benchConsume(context, { events, keys: Math.min(10_000, events) });
    if (isPage) writeConsumeSection(result);
    return result;
  },
  keys: async (context: BenchContext) => {
    const result = await benchKeys(context, { rate: rates[0] ?? 0, keys: 1000, seconds });
    if (isPage) writeKeysSection(result);
    return result;
  },
  horizon: async (context: BenchContext) => {
    const result = await benchHorizon(context, { minutes, eventsPerS: 5000 });
    if (isPage) writeHorizonSection(result);
    return result;
  },
  letters: async (context: BenchContext) => {
    const result = await benchLetters(context, { letters: events, seconds });
    if (isPage) writeLettersSection(result);
    return result;
  },
  operations: async (context: BenchContext) => {
    const result = await benchOperations(context, events);
    if (isPage) writeOperationsSection(result);
    return result;
  },
  memory: async (context: BenchContext) => {
    const result = await benchMemory(context, { events, seconds });
    if (isPage) writeMemorySection(result);
    return result;
  },
};

const bench = (benches as Partial<Record<string, (context: BenchContext) => Promise<object>>>)[
  name
];
const known = bench ?? refuse(`There is no bench "${name}"`);
if (![events, seconds, rounds, minutes, ...rates, ...clients].every((value) => value > 0)) {
  refuse("Numbers must be above zero");
}
const folder = mkdtempSync(join(tmpdir(), "outrider-bench-"));
const say = (line: string): void => {
  if (!values.json) console.log(line);
};
say("starting Postgres and Kafka");
const stage = await startBenchStage(folder, {
  env: { ...testEnvironment() },
  report: silentReport,
});
let exitCode = 0;
try {
  const drizzle = join(import.meta.dirname, "../../drizzle");
  await migrateAll({ url: stage.url, folder: drizzle });
  const result = await known({ stage, url: stage.url, folder, rounds, say });
  if (values.json) console.log(JSON.stringify(result));
} catch (error) {
  console.error(error);
  exitCode = 1;
} finally {
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(exitCode);
