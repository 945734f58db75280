/** Rules about what is declared and what is imported. Each gives sentences about what is wrong. */

import { posix } from "node:path";
import { importedBy, isBuiltIn, isRelative, ownPrefix, packageOf } from "./imports.ts";
import { entryPoints } from "./import-table.ts";
import type { Allowed } from "./import-table.ts";
import type { Source } from "./sources.ts";

export type Manifest = Readonly<{
  dependencies?: Readonly<Record<string, string>>;
  optionalDependencies?: Readonly<Record<string, string>>;
  devDependencies?: Readonly<Record<string, string>>;
}>;

const declaredIn = (manifest: Manifest): Record<string, string> => ({
  ...manifest.dependencies,
  ...manifest.optionalDependencies,
  ...manifest.devDependencies,
});

const namesOf = ({ own, npm, dev = [] }: Allowed): string[] => [
  ...own.map((name) => `${ownPrefix}${name}`),
  ...npm,
  ...dev,
];

/** The manifest declares what the table allows, no more and no less, from catalog or workspace. */
export const checkManifest = (folder: string, manifest: Manifest, allowed: Allowed): string[] => {
  const declared = declaredIn(manifest);
  const names = new Set(namesOf(allowed));
  const faults = [...names]
    .filter((name) => !(name in declared))
    .map((name) => `${folder} does not declare ${name}, which the import table lists`);
  for (const [name, version] of Object.entries(declared)) {
    const right = name.startsWith(ownPrefix) ? "workspace:*" : "catalog:";
    if (!names.has(name)) faults.push(`${folder} declares ${name}: not in the import table`);
    if (version !== right) faults.push(`${folder} declares ${name} as ${version}, not ${right}`);
  }
  return faults;
};

type Workspace = Readonly<{
  folder: string;
  sources: readonly Source[];
  names: readonly string[];
  /** For its tests only. */
  devNames?: readonly string[];
}>;

const isWithin = (folder: string, path: string): boolean => path.startsWith(`${folder}/`);

/** Every import is declared, every declaration imported, and relative ones stay at home. */
export const checkImports = (
  { folder, sources, names, devNames = [] }: Workspace,
  exempt: Readonly<{
    notImported: readonly string[];
    tools: Readonly<Record<string, readonly string[]>>;
  }>,
): string[] => {
  const faults: string[] = [];
  const used = new Set<string>(exempt.notImported);
  for (const { path, text } of sources) {
    for (const specifier of importedBy(text)) {
      const name = packageOf(specifier);
      if (isRelative(specifier)) {
        const target = posix.join(posix.dirname(path), specifier);
        // Integration tests drive apps, which export nothing, and the inner parts of packages.
        const isTested = isWithin("apps", target) || isWithin("packages", target);
        const atHome = isWithin(folder, target) || (folder === "test" && isTested);
        if (!atHome) faults.push(`${path} imports ${specifier}, outside of ${folder}`);
        if (!target.endsWith(".ts")) faults.push(`${path} imports ${specifier} without .ts`);
      } else if (!isBuiltIn(specifier)) {
        used.add(name);
        const isTool = exempt.tools[name]?.includes(posix.basename(path));
        const isDev = path.endsWith(".test.ts") && devNames.includes(name);
        const isDeclared = names.includes(name) || isTool || isDev;
        if (!isDeclared) faults.push(`${path} imports ${name}, undeclared`);
        const isDeep = name.startsWith(ownPrefix) && ![name, ...entryPoints].includes(specifier);
        if (isDeep) faults.push(`${path} imports ${specifier}, past the package's index.ts`);
      }
    }
  }
  for (const name of [...names, ...devNames]) {
    if (!used.has(name)) faults.push(`${folder} never imports ${name}`);
  }
  return faults;
};

/** The root declares tools only; the catalog holds exact versions, each used by somebody. */
export const checkCatalog = (
  catalog: Readonly<Record<string, string>>,
  manifests: readonly Manifest[],
): string[] => {
  const declared = new Set(manifests.flatMap((manifest) => Object.keys(declaredIn(manifest))));
  return Object.entries(catalog).flatMap(([name, version]) => [
    ...(declared.has(name) ? [] : [`the catalog has ${name}, which nobody declares`]),
    ...(/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version) ? [] : [`${name} ${version} is not exact`]),
  ]);
};
