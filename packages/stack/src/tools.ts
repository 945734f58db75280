/**
 * Programs of the machine that the stack cannot bring along: a Java runtime, Maven, a compiler.
 * Where root runs on Debian they are installed, and that is said; anywhere else one sentence names
 * what is missing and the command that installs it (Fault `missing_tool`).
 */

import { fault } from "@outrider/event";
import { findCommand } from "./host.ts";
import type { Host } from "./host.ts";
import type { Report } from "./report.ts";
import { run } from "./run.ts";

export type Tool = Readonly<{
  /** The command that shows the tool is there, or undefined for a library. */
  command?: string;
  /** Debian package, and the Homebrew one where macOS does not have it already. */
  debian: string;
  brew?: string;
}>;

export type ToolNeed = Readonly<{
  host: Host;
  report: Report;
  signal?: AbortSignal;
  /** What the tools are for, for the sentence: "run the embedded Kafka". */
  purpose: string;
}>;

const queryTimeoutMs = 10_000;
const installTimeoutMs = 10 * 60_000;

/** Makes sure that `tools` are installed. */
export const ensureTools = async (need: ToolNeed, tools: readonly Tool[]): Promise<void> => {
  const missing = await findMissing(need.host, tools);
  if (missing.length === 0) return;
  if (!need.host.isRoot || !need.host.isDebian) {
    throw fault("missing_tool", missingSentence(need.host, need.purpose, missing));
  }
  await aptInstall(
    need,
    missing.map((tool) => tool.debian),
  );
};

/** The sentence for whoever has to install `tools` by hand. */
export const missingSentence = (
  host: Pick<Host, "isDebian" | "isRoot" | "platform">,
  purpose: string,
  tools: readonly Tool[],
): string => {
  const names = tools.map((tool) => tool.command ?? tool.debian).join(", ");
  const sudo = host.isRoot ? "" : "sudo ";
  const debian = tools.map((tool) => tool.debian).join(" ");
  const brew = tools.map((tool) => tool.brew ?? tool.debian).join(" ");
  const command =
    host.platform === "darwin" ? `brew install ${brew}` : `${sudo}apt-get install -y ${debian}`;
  const whose =
    host.platform === "darwin" || host.isDebian ? "" : " (Debian's names; yours may differ)";
  return `To ${purpose}, this machine still needs ${names}; install with: ${command}${whose}`;
};

const findMissing = async (host: Host, tools: readonly Tool[]): Promise<readonly Tool[]> => {
  const commands = tools.filter((tool) => tool.command && !findCommand(host, tool.command));
  const libraries = tools.filter((tool) => tool.command === undefined);
  // Only Debian can be asked about libraries; elsewhere the compiler itself will complain.
  if (!host.isDebian || libraries.length === 0) return commands;
  const { output } = await run(
    "dpkg-query",
    ["-W", "-f", "${Package} ${db:Status-Abbrev}\n", ...libraries.map((tool) => tool.debian)],
    { env: host.env, timeoutMs: queryTimeoutMs },
  );
  const installed = new Set(
    output
      .split("\n")
      .filter((line) => / ii\s*$/.test(line))
      .map((line) => line.split(" ")[0]),
  );
  return [...commands, ...libraries.filter((tool) => !installed.has(tool.debian))];
};

const aptInstall = async (need: ToolNeed, packages: readonly string[]): Promise<void> => {
  const { host, report, signal, purpose } = need;
  report.say(`installing ${packages.join(", ")} with apt-get, to ${purpose}`);
  const step = report.step("apt-get");
  const options = {
    env: { ...host.env, DEBIAN_FRONTEND: "noninteractive" },
    timeoutMs: installTimeoutMs,
    signal,
    onLine: (line: string) => step.note(line.slice(0, 60)),
  };
  try {
    // A stale index names packages that are gone, so a failing update is worth a try all the same.
    await run("apt-get", ["update"], options);
    const install = ["install", "-y", "--no-install-recommends", ...packages];
    const { code, output } = await run(
      "apt-get",
      ["-o", "DPkg::Lock::Timeout=120", ...install],
      options,
    );
    if (code === 0) return;
    const command = `apt-get install -y ${packages.join(" ")}`;
    throw fault("missing_tool", `apt-get could not install what is missing; try: ${command}`, {
      details: { output },
    });
  } finally {
    step.end();
  }
};
