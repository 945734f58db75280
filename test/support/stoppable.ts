/** A process for cli.test.ts: appends what it is told to the file of its argument, then ends. */

import { appendFileSync } from "node:fs";
import { abortOnStop } from "../../apps/cli/src/stop-signal.ts";

const file = process.argv[2] ?? "";
const signal = abortOnStop(process.env);
signal.addEventListener("abort", () => {
  appendFileSync(file, `${String(signal.reason)}\n`);
  process.exit(0);
});
appendFileSync(file, "started\n");
setInterval(() => {}, 1_000);
