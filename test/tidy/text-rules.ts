/**
 * Rules of style about one file that the linter has no rule for. Each gives sentences about what
 * is wrong. Sizes, default exports, `any` and namespaces are in .oxlintrc.json; enums, namespaces
 * and parameter properties are refused by the compiler (`erasableSyntaxOnly`).
 */

import { posix } from "node:path";
import { isTest } from "./sources.ts";
import type { Source } from "./sources.ts";

type Rule = (source: Source) => string[];

const linesWith = ({ path, text }: Source, pattern: RegExp, what: string): string[] =>
  text
    .split("\n")
    .flatMap((line, index) => (pattern.test(line) ? [`${path}:${index + 1} ${what}`] : []));

const columnsMax = 100;

export const checkColumns: Rule = (source) =>
  linesWith(
    source,
    new RegExp(`^.{${columnsMax + 1},}$`, "u"),
    `has more than ${columnsMax} columns`,
  );

export const checkStarExports: Rule = (source) =>
  linesWith(source, /^export \*/, "exports everything there is");

export const checkClasses: Rule = (source) =>
  source.path === "packages/event/src/fault.ts"
    ? []
    : linesWith(source, /^(export )?(abstract )?class /, "has a class; Fault is the only one");

const indexLinesMax = 30;

/** An index.ts is a package's public surface: named re-exports and nothing else. */
export const checkIndex: Rule = ({ path, text }) => {
  if (posix.basename(path) !== "index.ts") return [];
  const lines = text.trimEnd().split("\n");
  const others = lines.filter((line) => !/^export (type )?\{.*\} from "\.\/[^"]+";$/.test(line));
  return [
    ...(/^packages\/[^/]+\/src\/index\.ts$/.test(path) ? [] : [`${path} is no package's surface`]),
    ...(lines.length > indexLinesMax ? [`${path} has more than ${indexLinesMax} lines`] : []),
    ...others.map((line) => `${path} does more than re-export: ${line}`),
  ];
};

const entries =
  /^(apps\/\w+\/src\/(main|http|worker|suspect|replay|bootstrap)|test\/(run|support\/.+))\.ts$/;

/** Everything else is given its settings. */
export const checkEnvironment: Rule = (source) =>
  entries.test(source.path) || source.path.endsWith("drizzle.config.ts") || isTest(source.path)
    ? []
    : linesWith(source, /\b(process|Bun|import\.meta)\.env\b/, "reads the environment");

const bannedWords = new Set(
  ["utils", "util", "helpers", "helper", "common", "lib", "types", "services"].concat([
    "manager",
    "misc",
    "shared",
    "base",
    "handler2",
  ]),
);

const isBanned = (name: string): boolean =>
  name.split(/[-_]|(?<=[a-z])(?=[A-Z])/).some((word) => bannedWords.has(word.toLowerCase()));

/** Files are kebab-case nouns; what is after the first dot says the kind: `x.test.ts`. */
export const checkNames: Rule = ({ path, text }) => {
  const [file = "", ...folders] = path.split("/").toReversed();
  const [stem = ""] = file.split(".");
  const declared = [...text.matchAll(/^(?:export )?(?:type|interface|class) (\w+)/gm)];
  const types = declared.map((match) => match[1] ?? "");
  return [
    ...(/^[a-z0-9]+(-[a-z0-9]+)*$/.test(stem) ? [] : [`${path} is not kebab-case`]),
    ...[stem, ...folders].filter(isBanned).map((name) => `${path}: "${name}" says nothing`),
    ...types.filter(isBanned).map((name) => `${path}: the type ${name} says nothing`),
    ...types
      .filter((name) => /^I[A-Z][a-z]/.test(name))
      .map((name) => `${path}: prefix of ${name}`),
  ];
};

/** In any text file: what is true on one machine only. */
export const checkMachinePaths: Rule = (source) =>
  linesWith(
    source,
    /(?<![\w.~-])\/(work|root|home\/\w+|Users\/\w+|tmp\/\w+)\//,
    "names a path of one machine",
  );

export const codeRules: readonly Rule[] = [
  checkColumns,
  checkStarExports,
  checkClasses,
  checkIndex,
  checkEnvironment,
  checkNames,
];

const tops = /^(apps|packages|drizzle|test|docs|\.ci)\//;
const endings = /\.(ts|md|json|ya?ml|toml|sql|lock)$/;

/** Paths of the project that a text names in backticks, without what stands for many. */
export const namedPaths = (markdown: string): string[] =>
  [...markdown.matchAll(/`([^`\s]+)`/g)]
    .map((match) => match[1] ?? "")
    .filter((name) => tops.test(name) || (endings.test(name) && /^[\w.-]+$/.test(name)))
    .filter((name) => !/[*<>{}]/.test(name));
