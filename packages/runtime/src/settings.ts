/**
 * Settings of one process, from one valibot schema. Later sources win: defaults in the schema, a
 * JSON file, the environment, overrides. A key `kafka.bootstrapServers` is KAFKA_BOOTSTRAP_SERVERS
 * in the environment; a secret may also come from the file that KAFKA_SASL_PASSWORD_FILE names.
 * An empty variable counts as unset. An optional section is switched on by any of its keys, or by
 * its own name: KAFKA_TLS=true.
 */

import { readFileSync } from "node:fs";
import { fault, isFault } from "@outrider/event";
import * as v from "valibot";
import { isTree, leavesOf, valueAt, withValueAt } from "./settings-tree.ts";
import type { Leaf, Tree } from "./settings-tree.ts";

/** Use v.strictObject, so that a misspelt key of the file is refused. */
export type SettingsSchema = v.GenericSchema & Readonly<{ entries: v.ObjectEntries }>;

export type SettingsSources = Readonly<{
  env: Readonly<Record<string, string | undefined>>;
  /** Path of a JSON file; OUTRIDER_SETTINGS of the environment when absent. */
  file?: string;
  /** Wins over everything; for tests. */
  overrides?: Tree;
}>;

/** Throws one `settings_invalid` that lists every problem, a line each, without secret values. */
export const loadSettings = <S extends SettingsSchema>(
  schema: S,
  sources: SettingsSources,
): Readonly<v.InferOutput<S>> => {
  const { env, file = env.OUTRIDER_SETTINGS, overrides = {} } = sources;
  const leaves = leavesOf(schema.entries);
  const problems: string[] = [];
  let tree: Tree = file ? readFile(file, problems) : {};
  for (const leaf of leaves) {
    const value = readVariable(leaf, env, problems);
    if (value !== undefined) tree = withValueAt(tree, leaf.path, value);
    const override = valueAt(overrides, leaf.path);
    if (override !== undefined) tree = withValueAt(tree, leaf.path, override);
  }
  const result = v.safeParse(schema, tree);
  const failures = result.success ? [] : result.issues.map((issue) => describe(issue, leaves));
  // A secret whose file cannot be read is not also reported as missing.
  const all = [...problems, ...failures.filter((failure) => !isTold(failure, problems))];
  if (!result.success || all.length > 0) throw settingsInvalid([...new Set(all)]);
  return Object.freeze(result.output as object) as Readonly<v.InferOutput<S>>;
};

/** As `loadSettings`, for an entry file: prints what is wrong to stderr and exits with 1. */
export const settingsOrExit = <S extends SettingsSchema>(
  schema: S,
  sources: SettingsSources,
): Readonly<v.InferOutput<S>> => {
  try {
    return loadSettings(schema, sources);
  } catch (error) {
    if (!isFault(error, "settings_invalid")) throw error;
    console.error(error.message);
    process.exit(1);
  }
};

/** What a process runs with, by environment name, to be logged or printed: secrets are hidden. */
export const describeSettings = (
  schema: SettingsSchema,
  settings: unknown,
): Record<string, unknown> => {
  const shown: Record<string, unknown> = {};
  for (const leaf of leavesOf(schema.entries)) {
    const value = valueAt(settings, leaf.path);
    if (value === undefined || typeof value === "object") continue;
    shown[leaf.variable] = leaf.secret ? hide(String(value)) : value;
  }
  return shown;
};

/** A URL keeps what is not secret in it, since host and database are what one looks for. */
const hide = (secret: string): string => {
  if (!URL.canParse(secret)) return "[hidden]";
  const url = new URL(secret);
  if (url.host === "") return "[hidden]";
  const user = url.username === "" ? "" : `${url.username}:[hidden]@`;
  return `${url.protocol}//${user}${url.host}${url.pathname}`;
};

const readFile = (path: string, problems: string[]): Tree => {
  try {
    const tree: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (isTree(tree)) return tree;
    problems.push(`${path}: must hold a JSON object`);
  } catch (error) {
    problems.push(`${path}: ${unreadable(error)}`);
  }
  return {};
};

const readVariable = (leaf: Leaf, env: SettingsSources["env"], problems: string[]): unknown => {
  const value = env[leaf.variable] || undefined;
  if (leaf.section) return readSwitch(leaf, value, problems);
  const file = leaf.secret ? env[`${leaf.variable}_FILE`] : undefined;
  if (!file) return value;
  if (value !== undefined) {
    problems.push(`${leaf.variable}: is set, and ${leaf.variable}_FILE too`);
    return value;
  }
  try {
    return readFileSync(file, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    problems.push(
      `${leaf.variable}: ${file}, named by ${leaf.variable}_FILE, ${unreadable(error)}`,
    );
    return undefined;
  }
};

const readSwitch = (leaf: Leaf, value: string | undefined, problems: string[]): unknown => {
  if (value === "true" || leaf.section === "required") return {};
  if (value && value !== "false") problems.push(`${leaf.variable}: must be true or false`);
  return undefined;
};

/** A JSON parser's message may quote the file, which may hold secrets. */
const unreadable = (error: unknown): string =>
  error instanceof SyntaxError
    ? "is not JSON"
    : `cannot be read (${error instanceof Error && "code" in error ? error.code : error})`;

const describe = (issue: v.BaseIssue<unknown>, leaves: readonly Leaf[]): string => {
  const path = (issue.path ?? []).map((item) => String(item.key));
  const key = path.join(".");
  const leaf = leaves.find((candidate) => candidate.path.join(".") === key);
  if (!leaf) return `${key || "settings"}: is not a setting of this process`;
  if (issue.received === "undefined") return `${leaf.variable}: is missing`;
  const leaks = leaf.secret && issue.message.includes(issue.received);
  return `${leaf.variable}: ${leaks ? "is not valid" : issue.message}`;
};

const isTold = (failure: string, problems: readonly string[]): boolean => {
  const name = failure.slice(0, failure.indexOf(":") + 1);
  return problems.some((problem) => problem.startsWith(name));
};

const settingsInvalid = (problems: readonly string[]) =>
  fault("settings_invalid", ["These settings are wrong:", ...problems].join("\n  "));
