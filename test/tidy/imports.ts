/** What a file imports, and what is loaded with it, told by Bun's own scanner. */

import { posix } from "node:path";
import type { Source } from "./sources.ts";

const transpiler = new Bun.Transpiler({ loader: "ts" });

/** Modules that are loaded when the file is: imports of types are gone by then. */
export const loadedBy = (text: string): string[] =>
  transpiler.scanImports(text).map((found) => found.path);

/** Loaded modules and those that only types come from. The formatter keeps these at column 0. */
export const importedBy = (text: string): string[] => {
  const types = text.matchAll(/^(?:import|export) type [^;"]*? from "([^"]+)";/gm);
  return [...new Set([...loadedBy(text), ...[...types].map((match) => match[1] ?? "")])];
};

export const isBuiltIn = (specifier: string): boolean => /^(node:|bun(:|$))/.test(specifier);

export const isRelative = (specifier: string): boolean => specifier.startsWith(".");

/** `@scope/name/deep` and `name/deep` belong to the packages `@scope/name` and `name`. */
export const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

export const ownPrefix = "@outrider/";

/** The file of the project that a specifier means, if it means one. */
const fileOf = (from: string, specifier: string): string | undefined => {
  if (isRelative(specifier)) return posix.join(posix.dirname(from), specifier);
  if (!specifier.startsWith(ownPrefix)) return undefined;
  return `packages/${specifier.slice(ownPrefix.length)}/src/index.ts`;
};

/**
 * Everything that is loaded when the file at `start` is, as paths of the project and names of
 * other packages, each with the way to it.
 */
export const reachFrom = (start: string, sources: readonly Source[]): Map<string, string[]> => {
  const byPath = new Map(sources.map((source) => [source.path, source.text]));
  const ways = new Map<string, string[]>([[start, [start]]]);
  // A map is iterated in insertion order, including what is added meanwhile.
  for (const [path, way] of ways) {
    for (const specifier of loadedBy(byPath.get(path) ?? "")) {
      const target = fileOf(path, specifier) ?? specifier;
      if (!ways.has(target)) ways.set(target, [...way, target]);
    }
  }
  return ways;
};
