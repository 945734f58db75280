/**
 * Installs the project's packages with the Bun that runs this, which need not be on PATH: `npx
 * bun` is one that is not. A marker in node_modules says for which manifests that was last done.
 */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const marker = join("node_modules", ".outrider-installed");
const workspaceFolders = ["apps", "packages"];

/** Installs what `bun.lock` says unless that is done; ends the process when it fails. */
export const ensurePackages = async (root: string): Promise<void> => {
  const wanted = manifestsHash(root);
  if (readIfThere(join(root, marker)) === wanted) return;
  console.log("installing the project's packages");
  const code = await install(root);
  if (code !== 0) {
    console.error("The packages could not be installed; try: bun install");
    process.exit(code);
  }
  mkdirSync(join(root, "node_modules"), { recursive: true });
  writeFileSync(join(root, marker), wanted);
};

/** Changes whenever the lock file or the manifest of any workspace does. */
const manifestsHash = (root: string): string => {
  const hash = createHash("sha256");
  const workspaces = workspaceFolders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .sort()
      .map((name) => join(folder, name)),
  );
  for (const folder of [".", "test", ...workspaces]) {
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
