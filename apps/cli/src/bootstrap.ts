/**
 * What every script of the root package.json runs: `bun apps/cli/src/bootstrap.ts <command>`.
 * It installs the project's packages where they are missing or out of date, and then becomes the
 * command, in the same process, so that a signal reaches what it is meant for. Until then it may
 * use nothing but what Bun brings along.
 */

import { join } from "node:path";
import { ensurePackages } from "./install.ts";

const root = join(import.meta.dirname, "../../..");
const installed = await ensurePackages(root);
// This process has already looked for packages where there were none, and remembers that. So it
// starts over as the same process: whoever waits for it or sends it signals notices nothing.
if (installed && process.execve) {
  process.execve(process.execPath, [process.execPath, ...process.argv.slice(1)], process.env);
}

const command = process.argv[2];
const { cleanEnv } = await import("./process-env.ts");
cleanEnv(process.env, command);

/** Commands that live with the tests. */
const scripts: Readonly<Record<string, string>> = {
  test: "test/run.ts",
  bench: "test/bench/main.ts",
  chaos: "test/chaos/main.ts",
  drill: "test/drills/main.ts",
};
const script = scripts[command ?? ""];
if (script) {
  await import(join(root, script));
} else {
  const { main } = await import("./main.ts");
  await main(root);
}
