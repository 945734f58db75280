/** The machine's Java runtime: 17 or newer, from JAVA_HOME or PATH. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { fault } from "@outrider/event";
import { findCommand } from "./host.ts";
import type { Host } from "./host.ts";
import { ownEnv } from "./own-env.ts";
import { run } from "./run.ts";
import { ensureTools, missingSentence } from "./tools.ts";
import type { Tool, ToolNeed } from "./tools.ts";

/** `id` differs between builds of Java: what one archives, another cannot read. */
export type Java = Readonly<{ command: string; id: string }>;

const majorMin = 17;
const versionTimeoutMs = 20_000;
const javaTool: Tool = { command: "java", debian: "default-jre-headless", brew: "openjdk" };

/** Finds Java, and installs it where root may. Throws Fault `missing_tool`. */
export const ensureJava = async (need: ToolNeed): Promise<Java> => {
  const found = await findJava(need.host);
  if (found) return found;
  if (need.host.isRoot && need.host.isDebian) {
    await ensureTools(need, [{ debian: javaTool.debian }]);
    const installed = await findJava(need.host);
    if (installed) return installed;
  }
  const sentence = missingSentence(need.host, need.purpose, [javaTool]);
  throw fault("missing_tool", `${sentence} (Java ${majorMin} or newer)`);
};

const findJava = async (host: Host): Promise<Java | undefined> => {
  const own = host.env.JAVA_HOME ? join(host.env.JAVA_HOME, "bin", "java") : "";
  const command = existsSync(own) ? own : findCommand(host, "java");
  if (command === undefined) return undefined;
  // macOS has a java command that only says that there is no Java.
  const options = { env: ownEnv(host.env), timeoutMs: versionTimeoutMs };
  const { code, output } = await run(command, ["-version"], options);
  const major = majorOf(output);
  return code === 0 && major !== undefined && major >= majorMin
    ? { command, id: output.trim() }
    : undefined;
};

/** The major version in what `java -version` prints, or undefined. */
export const majorOf = (output: string): number | undefined => {
  const [, major] = /version "(\d+)/.exec(output) ?? [];
  return major === undefined ? undefined : Number(major);
};
