/** `outrider check`: everything that can be said about the code without running a service. */

import { spawn } from "node:child_process";
import type { Context } from "./main.ts";

type Check = Readonly<{ name: string; args: readonly string[] }>;
type Outcome = Readonly<{ ok: boolean; output: string }>;

/** Run by Bun, which brings the type checker and the formatter along. */
const checks: readonly Check[] = [
  { name: "types", args: ["check", "--no-script"] },
  { name: "lint", args: ["node_modules/oxlint/bin/oxlint", "--deny-warnings"] },
  { name: "format", args: ["fmt", "--no-script", "--print-width=100", "--check"] },
  { name: "tidy", args: ["test", "--timeout=30000", "./test/tidy.test.ts"] },
  { name: "openapi", args: ["test", "--timeout=30000", "./test/openapi.test.ts"] },
];

/** Runs all checks at once; one line each, and the output of those that found something. */
export const check = async ({ root, bun, report, signal }: Context): Promise<number> => {
  const outcomes = await Promise.all(
    checks.map(async (one) => {
      const startedMs = performance.now();
      const outcome = await runCheck(bun, one.args, { root, signal });
      const took = `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
      report.say(`${one.name.padEnd(8)} ${outcome.ok ? "ok    " : "failed"} ${took}`);
      return outcome;
    }),
  );
  const failed = outcomes.filter((outcome) => !outcome.ok);
  for (const { output } of failed) report.say(`\n${output.trimEnd()}`);
  return failed.length === 0 ? 0 : 1;
};

const runCheck = (
  bun: string,
  args: readonly string[],
  { root, signal }: Readonly<{ root: string; signal: AbortSignal }>,
): Promise<Outcome> =>
  new Promise((resolve, reject) => {
    const child = spawn(bun, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const take = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    signal.addEventListener("abort", () => child.kill(), { once: true });
    child.once("error", reject);
    child.once("close", (code) => resolve({ ok: code === 0, output }));
  });
