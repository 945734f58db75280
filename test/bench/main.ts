/**
 * `bun run bench relay|latency|write [--json] [--rounds N] [--events N] [--seconds N]`: measures on
 * services of its own, writes its part of docs/performance.md, and never fails for a time.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { silentReport } from "@outrider/stack";
import { migrateAll } from "@outrider/postgres/migrate";
import { testEnvironment } from "../support/environment.ts";
import { benchLatency } from "./bench-latency.ts";
import { benchRelay } from "./bench-relay.ts";
import type { BenchContext } from "./bench-relay.ts";
import { benchWrite } from "./bench-write.ts";
import { writeLatencySection, writeRelaySection, writeWriteSection } from "./page.ts";
import { startBenchStage } from "./stage.ts";

const { values, positionals } = parseArgs({
  args: process.argv.slice(process.argv.indexOf("bench") + 1),
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    events: { type: "string", default: "1000000" },
    seconds: { type: "string", default: "10" },
    /** Leaves docs/performance.md alone. */
    "dry-run": { type: "boolean", default: false },
  },
});
const [events, seconds, rounds] = [values.events, values.seconds, values.rounds].map(Number) as [
  number,
  number,
  number,
];
const isPage = !values["dry-run"];

const benches = {
  relay: async (context: BenchContext) => {
    const result = await benchRelay(context, { events, keys: Math.min(100_000, events) });
    if (isPage) writeRelaySection(result);
    return result;
  },
  latency: async (context: BenchContext) => {
    const result = await benchLatency(context, { rates: [100, 500, 1000, 5000], seconds });
    if (isPage) writeLatencySection(result);
    return result;
  },
  write: async (context: BenchContext) => {
    const result = await benchWrite(context, { clients: [1, 8, 16], seconds });
    if (isPage) writeWriteSection(result);
    return result;
  },
};

const [name = ""] = positionals;
const bench = (benches as Partial<Record<string, (context: BenchContext) => Promise<object>>>)[
  name
];
if (!bench || ![events, seconds, rounds].every((value) => value > 0)) {
  console.error(
    "bun run bench relay|latency|write [--json] [--rounds N] [--events N] [--seconds N]",
  );
  process.exit(2);
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
  const result = await bench({ stage, url: stage.url, folder, rounds, say });
  if (values.json) console.log(JSON.stringify(result));
} catch (error) {
  console.error(error);
  exitCode = 1;
} finally {
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(exitCode);
