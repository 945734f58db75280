/** The project's rules about its own text. They need no service; test/tidy/ holds them. */

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { importTable, notImported, rootTools } from "./tidy/import-table.ts";
import { checkCatalog, checkImports, checkManifest } from "./tidy/packages.ts";
import type { Manifest } from "./tidy/packages.ts";
import { checkBun, checkEdge, checkNode, edgeExemptions } from "./tidy/runtimes.ts";
import { startsOnBun, startsOnNode } from "./tidy/runtimes.ts";
import { isCode, readSources, root } from "./tidy/sources.ts";
import { checkMachinePaths, codeRules, namedPaths } from "./tidy/text-rules.ts";

const sources = readSources();
const code = sources.filter(isCode);

const textOf = (path: string): string => {
  const source = sources.find((candidate) => candidate.path === path);
  if (!source) throw new Error(`${path} is missing`);
  return source.text;
};

const manifestOf = (folder: string) => JSON.parse(textOf(join(folder, "package.json"))) as Manifest;

const folders = Object.keys(importTable);

describe("packages", () => {
  test("are those of the import table", () => {
    // The peer of the benchmarks is installed beside them, and is no part of the project.
    const found = sources
      .map(({ path }) => path)
      .filter((path) => path.endsWith("/package.json") && path !== "test/bench/peer/package.json");
    const declared = folders.map((folder) => `${folder}/package.json`);
    expect(found.toSorted()).toEqual(declared.toSorted());
  });

  test.each(folders)("%s declares what the import table allows", (folder) => {
    const allowed = importTable[folder] ?? { own: [], npm: [] };
    expect(checkManifest(folder, manifestOf(folder), allowed)).toEqual([]);
  });

  test.each(folders)("%s imports what it declares, and nothing else", (folder) => {
    const { dependencies, optionalDependencies, devDependencies = {} } = manifestOf(folder);
    const names = Object.keys({ ...dependencies, ...optionalDependencies });
    const own = code.filter(({ path }) => path.startsWith(`${folder}/`));
    const exempt = { notImported: Object.keys(notImported), tools: rootTools };
    const devNames = Object.keys(devDependencies);
    expect(checkImports({ folder, sources: own, names, devNames }, exempt)).toEqual([]);
  });

  test("the root has tools only, and the catalog exact versions that somebody uses", () => {
    const top = JSON.parse(textOf("package.json"));
    const allowed = { own: [], npm: Object.keys(rootTools) };
    expect(checkManifest("the root", top, allowed)).toEqual([]);
    const manifests = [top, ...folders.map(manifestOf)];
    expect(checkCatalog(top.workspaces.catalog, manifests)).toEqual([]);
  });
});

describe("runtimes", () => {
  test("nothing that runs on Bun reaches the Confluent client", () => {
    const starts = code.map(({ path }) => path).filter(startsOnBun);
    expect(starts).toContain("apps/shop/src/http.ts");
    expect(checkBun(starts, code)).toEqual([]);
  });

  test("nothing that runs on Node needs Bun", () => {
    const starts = code.map(({ path }) => path).filter(startsOnNode);
    expect(starts).toContain("apps/relay/src/main.ts");
    expect(checkNode(starts, code)).toEqual([]);
  });

  test("the shop's HTTP app is an edge app: Web APIs only, but for what is exempt", () => {
    const start = "apps/shop/src/shop.ts";
    expect(checkEdge(start, code, Object.keys(edgeExemptions))).toEqual([]);
    for (const needed of Object.keys(edgeExemptions)) {
      const others = Object.keys(edgeExemptions).filter((one) => one !== needed);
      expect(checkEdge(start, code, others)).not.toEqual([]);
    }
  });
});

describe("texts", () => {
  test.each(codeRules.map((rule) => [rule.name, rule] as const))("%s", (_, rule) => {
    expect(code.flatMap(rule)).toEqual([]);
  });

  test("no file names a path of one machine", () => {
    expect(sources.flatMap(checkMachinePaths)).toEqual([]);
  });

  test("the compiler refuses what types cannot be stripped from, and imports that lie", () => {
    expect(JSON.parse(textOf("tsconfig.json")).compilerOptions).toMatchObject({
      strict: true,
      erasableSyntaxOnly: true,
      noUncheckedIndexedAccess: true,
      verbatimModuleSyntax: true,
    });
  });

  test("the paths that README.md names are there", () => {
    const paths = namedPaths(textOf("README.md"));
    expect(paths.length).toBeGreaterThan(5);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});
