/** The project's own text files, read once; paths are relative to the root, with slashes. */

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export const root = join(import.meta.dirname, "../..");

export type Source = Readonly<{ path: string; text: string }>;

/** In a worktree .git is a file that says where the repository is. */
const skipped = new Set(["node_modules", ".git", ".outrider", "coverage"]);
const binary = /\.(png|ico|woff2?)$/;

const pathsBelow = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return pathsBelow(path);
    return entry.isFile() && !binary.test(entry.name) ? [path] : [];
  });

export const readSources = (): Source[] =>
  pathsBelow(root).map((path) => ({
    path: relative(root, path).replaceAll("\\", "/"),
    text: readFileSync(path, "utf8"),
  }));

export const isCode = ({ path }: Source): boolean => /\.tsx?$/.test(path);

export const isTest = (path: string): boolean => path.endsWith(".test.ts");
