/**
 * `bun run drill NAME`: runs a drill on services of its own and writes docs/drills/NAME.md. Exit
 * code 1 when something that must hold did not. Without a name it lists the drills.
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isFault } from "@outrider/event";
import { testEnvironment } from "../support/environment.ts";
import { formatPage } from "../support/format-page.ts";
import type { Drill } from "./drill.ts";
import { kills } from "./kills.ts";
import { pauses } from "./pauses.ts";
import { schemathesis } from "./schemathesis.ts";

const drills: Readonly<Record<string, Drill>> = { kills, pauses, schemathesis };

const name = process.argv[process.argv.indexOf("drill") + 1] ?? "";
const drill = drills[name];
if (!drill) {
  console.log("Usage: bun run drill NAME\n");
  for (const [known, { what }] of Object.entries(drills)) {
    console.log(`  ${known.padEnd(14)} ${what}`);
  }
  const isList = process.argv.indexOf("drill") === process.argv.length - 1;
  process.exit(isList ? 0 : 2);
}

const folder = mkdtempSync(join(tmpdir(), "outrider-drill-"));
const say = (line: string): void => console.log(line);
const { text, failures } = await drill
  .run({ env: testEnvironment(), folder, say })
  .catch((error: unknown) => {
    if (!isFault(error, "missing_tool")) throw error;
    rmSync(folder, { recursive: true, force: true });
    console.error(error.message);
    process.exit(1);
  });
const verdict =
  failures.length === 0
    ? "Everything held."
    : `Did not hold:\n\n${failures.map((one) => `- ${one}`).join("\n")}`;
const page = join(import.meta.dirname, "../../docs/drills", `${name}.md`);
mkdirSync(join(page, ".."), { recursive: true });
const head = `# Drill: ${name}\n\n<!-- written by bun run drill ${name} -->`;
writeFileSync(page, `${head}\n\n${text}\n\n${verdict}\n`);
formatPage(page);
console.log(text, `\n\n${verdict}`);
if (failures.length > 0) console.log(`the logs are in ${folder}`);
else rmSync(folder, { recursive: true, force: true });
process.exit(failures.length > 0 ? 1 : 0);
