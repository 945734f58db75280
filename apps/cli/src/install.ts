/**
 * Installs the project's packages with the Bun that runs this, which need not be on PATH: `npx
 * bun` is one that is not. A marker in node_modules says for which manifests that was last done,
 * and which folders it made.
 */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const marker = join("node_modules", ".outrider-installed");
const workspaceFolders = ["apps", "packages"];

/** True when it had to install; ends the process when that fails. */
export const ensurePackages = async (root: string): Promise<boolean> => {
  const workspaces = findWorkspaces(root);
  const hash = hashManifests(root, workspaces);
  const [known, ...linked] = readIfThere(join(root, marker))?.split("\n") ?? [];
  if (known === hash && linked.every((path) => existsSync(join(root, path)))) return false;
  console.log("installing the project's packages");
  const code = await install(root);
  if (code !== 0) {
    console.error("The packages could not be installed; try: bun install");
    process.exit(code);
  }
  const folders = workspaces.map((path) => join(path, "node_modules"));
  const present = folders.filter((path) => existsSync(join(root, path)));
  mkdirSync(join(root, "node_modules"), { recursive: true });
  writeFileSync(join(root, marker), [hash, ...present].join("\n"));
  return true;
};

const findWorkspaces = (root: string): readonly string[] => {
  const inFolder = (folder: string) =>
    readdirSync(join(root, folder))
      .toSorted()
      .map((name) => join(folder, name));
  return ["test", ...workspaceFolders.flatMap(inFolder)];
};

/** Changes whenever the lock file or the manifest of any workspace does. */
const hashManifests = (root: string, workspaces: readonly string[]): string => {
  const hash = createHash("sha256");
  for (const folder of [".", ...workspaces]) {
    const path = join(folder, "package.json");
    hash.update(path).update(readIfThere(join(root, path)) ?? "");
  }
  return hash.update(readIfThere(join(root, "bun.lock")) ?? "").digest("hex");
};

const readIfThere = (path: string): string | undefined =>
  existsSync(path) ? readFileSync(path, "utf8") : undefined;

/** Runs the installation, and passes on what would end us. */
const install = async (root: string): Promise<number> => {
  const child = spawn(process.execPath, ["install", "--frozen-lockfile"], {
    cwd: root,
    // Only what goes wrong is of interest.
    stdio: ["ignore", "ignore", "inherit"],
  });
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  let stopped = false;
  const onSignal = (signal: NodeJS.Signals) => {
    stopped = true;
    child.kill(signal);
  };
  for (const signal of signals) process.on(signal, onSignal);
  const code = await new Promise<number>((resolve) => {
    child.once("error", () => resolve(1));
    child.once("close", (status) => resolve(status ?? 128));
  });
  for (const signal of signals) process.off(signal, onSignal);
  if (stopped) process.exit(130);
  return code;
};
