/** The project's own text files, read once; paths are relative to the root, with slashes. */

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export const root = join(import.meta.dirname, "../..");

export type Source = Readonly<{ path: string; text: string }>;

const skippedFolders = new Set(["node_modules", ".git", ".outrider", "coverage"]);
const binary = /\.(png|ico|woff2?)$/;

const pathsBelow = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return skippedFolders.has(entry.name) ? [] : pathsBelow(path);
    return entry.isFile() && !binary.test(entry.name) ? [path] : [];
  });

export const readSources = (): Source[] =>
  pathsBelow(root).map((path) => ({
    path: relative(root, path).replaceAll("\\", "/"),
    text: readFileSync(path, "utf8"),
  }));

export const isCode = ({ path }: Source): boolean => /\.tsx?$/.test(path);

export const isTest = (path: string): boolean => path.endsWith(".test.ts");
