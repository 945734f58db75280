/**
 * `bun run test`: everything. It makes the Confluent client ready, starts services of its own in a
 * temporary folder, runs the checks, then the tests on Bun beside those on Node, merges their
 * coverage, and ends with one line of totals. Both sides mostly wait, and what tests say of a whole
 * server, such as its sessions, is theirs alone: so each has services of its own. Arguments choose
 * test files, which run one after the other: `bun run test test/e2e`.
 */

import { spawn } from "node:child_process";
import {
  closeSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { describeHost, startStackWithNode } from "@outrider/stack";
import type { NodeBinary, Stack } from "@outrider/stack";
import { createReporter } from "../apps/cli/src/reporter.ts";
import { coveredShare, mergeCoverage, readLcov } from "./report/coverage.ts";
import { addTotals, readTotals } from "./report/junit.ts";
import type { Totals } from "./report/junit.ts";

/** Of lines, over all source files. */
const coverageMin = 0.9;

const root = resolve(import.meta.dirname, "..");
const out = join(root, "coverage");
const host = describeHost(process.env);
const chosen = process.argv.slice(3);
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => stopping.abort(new Error(`stopped by ${signal}`)));
}

const report = createReporter({
  write: (text) => void process.stdout.write(text),
  columns: () => (process.stdout.isTTY ? process.stdout.columns || 80 : undefined),
  nowMs: () => performance.now(),
});

type Parts = Readonly<{ stack: Stack; node: NodeBinary; folder: string }>;

const started: Parts[] = [];

const startServices = async (): Promise<Parts> => {
  const folder = mkdtempSync(join(tmpdir(), "outrider-test-"));
  const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = process.env;
  const bootstrapServers = process.env.KAFKA_BOOTSTRAP_SERVERS;
  const parts = await startStackWithNode({
    root: folder,
    host,
    report,
    signal: stopping.signal,
    importer: join(root, "packages/kafka/package.json"),
    settings: {
      ports: { postgres: 0, kafka: 0, redis: 0 },
      ...(databaseUrl && { databaseUrl }),
      ...(bootstrapServers && { kafka: { bootstrapServers } }),
      ...(redisUrl && { redisUrl }),
    },
  });
  started.push({ ...parts, folder });
  return { ...parts, folder };
};

type Command = Readonly<{
  command: string;
  args: readonly string[];
  env?: object;
  /** Where its output goes; ours where it is not said. */
  output?: number;
}>;

/** Resolves with its exit code. */
const run = ({ command, args, env, output }: Command): Promise<number> =>
  new Promise((settle, fail) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ["ignore", output ?? "inherit", output ?? "inherit"],
      // In a group of its own: a runner that is stopped does not end what its tests have started.
      detached: true,
    });
    const stop = () => process.kill(-(child.pid ?? 0), "SIGTERM");
    stopping.signal.addEventListener("abort", stop, { once: true });
    child.once("error", fail);
    child.once("close", (code) => {
      stopping.signal.removeEventListener("abort", stop);
      settle(code ?? 1);
    });
  });

const totalsOf = (name: string, exitCode: number): Totals => {
  const totals = readTotals(readFileSync(join(out, name), { encoding: "utf8", flag: "a+" }));
  // A runner that failed without a failed test, such as on a file that does not load.
  if (exitCode !== 0 && totals.failed === 0) return { ...totals, failed: 1 };
  return totals;
};

const runChecks = async (): Promise<Totals> => {
  const args = [join(root, "apps/cli/src/bootstrap.ts"), "check"];
  const code = await run({ command: process.execPath, args });
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: [] };
};

const environmentOf = ({ services }: Stack) => ({
  DATABASE_URL: services.postgres.url,
  KAFKA_BOOTSTRAP_SERVERS: services.kafka.url,
  REDIS_URL: services.redis.url,
});

const runOnBun = async (files: readonly string[], { stack }: Parts): Promise<Totals> => {
  const args = [
    "test",
    "--coverage",
    ...["--reporter=junit", `--reporter-outfile=${join(out, "bun.xml")}`],
    "--timeout=120000",
    ...files,
  ];
  const code = await run({ command: process.execPath, args, env: environmentOf(stack) });
  return totalsOf("bun.xml", code);
};

const runOnNode = async (files: readonly string[], parts: Parts, output?: number) => {
  const to = (reporter: string, file: string) => [
    `--test-reporter=${reporter}`,
    `--test-reporter-destination=${file}`,
  ];
  const args = [
    ...["--test", "--test-force-exit", "--test-timeout=180000", "--experimental-test-coverage"],
    ...to("spec", "stdout"),
    ...to("junit", join(out, "node.xml")),
    ...to("lcov", join(out, "node.lcov")),
    ...files,
  ];
  const { node, stack } = parts;
  const own = output === undefined ? {} : { output };
  const code = await run({ command: node.path, args, env: environmentOf(stack), ...own });
  return totalsOf("node.xml", code);
};

/** Its output comes in one piece, when it has ended. */
const runBeside = async (files: readonly string[]): Promise<Totals> => {
  const path = join(out, "node.log");
  const output = openSync(path, "w");
  try {
    return await runOnNode(files, await startServices(), output);
  } finally {
    closeSync(output);
    process.stdout.write(readFileSync(path));
  }
};

const isEntry = (file: string): boolean => /\/(main|http|worker|suspect|bootstrap)\.ts$/.test(file);

/** False when too little is covered. */
const reportCoverage = (): boolean => {
  const files = globSync("{apps,packages}/*/src/**/*.ts", { cwd: root }).filter(
    (file) => !/\.(types\.)?test\.ts$/.test(file) && !isEntry(file),
  );
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const texts = files.map((file) => [file, readFileSync(join(root, file), "utf8")] as const);
  // A file of types alone has nothing to cover.
  const sources = new Map(texts.filter(([, text]) => transpiler.transformSync(text).trim() !== ""));
  const read = (path: string) =>
    readLcov(readFileSync(join(out, path), "utf8"), (file) => relative(root, resolve(root, file)));
  const merged = mergeCoverage({ sources, bun: read("bun/lcov.info"), node: read("node.lcov") });
  const share = coveredShare(merged);
  const percent = (value: number) => `${(value * 100).toFixed(1)} %`;
  report.say(`\nLine coverage of ${merged.length} source files: ${percent(share)}. Least covered:`);
  const worst = merged
    .filter((one) => one.covered < one.lines)
    .toSorted((a, b) => b.lines - b.covered - (a.lines - a.covered));
  for (const one of worst.slice(0, 10)) {
    const missing = one.lines - one.covered;
    report.say(`  ${percent(coveredShare([one])).padStart(7)}  ${missing} lines  ${one.file}`);
  }
  if (share < coverageMin) report.say(`That is less than ${percent(coverageMin)}.`);
  return share >= coverageMin;
};

const runWhole = async (): Promise<Totals[]> => {
  const onNode = globSync("test/{contract,integration,e2e,chaos}/*.node.ts", { cwd: root });
  const parts = await startServices();
  const checks = await runChecks();
  return [checks, ...(await Promise.all([runOnBun([], parts), runBeside(onNode)]))];
};

const runChosen = async (): Promise<Totals[]> => {
  const parts = await startServices();
  const onNode = chosen.filter((file) => file.endsWith(".node.ts"));
  const onBun = chosen.filter((file) => !file.endsWith(".node.ts"));
  const totals: Totals[] = [];
  if (onBun.length > 0) totals.push(await runOnBun(onBun, parts));
  if (onNode.length > 0) totals.push(await runOnNode(onNode, parts));
  return totals;
};

const runAll = async (): Promise<number> => {
  const isWhole = chosen.length === 0;
  const totals = await (isWhole ? runWhole() : runChosen());
  const { passed, failed, skipped } = addTotals(totals);
  const isCovered = !isWhole || reportCoverage();
  for (const name of skipped) report.say(`Skipped: ${name}`);
  const rest = skipped.length > 0 ? `, ${skipped.length} skipped` : "";
  const all = isCovered ? failed : failed + 1;
  report.say(`${passed} passed, ${all} failed${rest}`);
  return all > 0 || passed === 0 ? 1 : 0;
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
let exitCode = 1;
try {
  exitCode = await runAll();
} catch (error) {
  stopping.abort(error);
  console.error(error instanceof Error ? error.message : error);
  console.log("0 passed, 1 failed");
} finally {
  for (const { stack, folder } of started) {
    await stack.discard();
    rmSync(folder, { recursive: true, force: true });
  }
}
process.exit(stopping.signal.aborted ? 1 : exitCode);
