/** The keys of a settings schema and their names in the environment. */

import * as v from "valibot";

export type Tree = Readonly<Record<string, unknown>>;

export type Leaf = Readonly<{
  path: readonly string[];
  /** Its name in the environment: `kafka.tls.caPath` is KAFKA_TLS_CA_PATH. */
  variable: string;
  secret: boolean;
  /** A section is listed before its keys and carries no value itself. */
  section?: "required" | "optional";
}>;

/** Marks a setting that is never shown and may come from a file. */
export const secret = v.metadata<string, { readonly secret: true }>({ secret: true });

type AnySchema = v.GenericSchema;

/** All keys, depth first. */
export const leavesOf = (entries: v.ObjectEntries, above: readonly string[] = []): Leaf[] =>
  Object.entries(entries).flatMap(([key, entry]) => {
    const path = [...above, key];
    const schema = unwrap(entry as AnySchema);
    const leaf = { path, variable: variableOf(path), secret: isSecret(schema) };
    if (!hasEntries(schema)) return [leaf];
    const section = schema === entry ? "required" : "optional";
    return [{ ...leaf, section }, ...leavesOf(schema.entries, path)];
  });

export const valueAt = (tree: unknown, path: readonly string[]): unknown => {
  const [key, ...rest] = path;
  if (key === undefined) return tree;
  return isTree(tree) ? valueAt(tree[key], rest) : undefined;
};

/** A copy of the tree with the value at the path; a section that is there already is kept. */
export const withValueAt = (tree: Tree, path: readonly string[], value: unknown): Tree => {
  const [key, ...rest] = path;
  if (key === undefined) return tree;
  const below = tree[key];
  const inner = isTree(below) ? below : {};
  if (rest.length > 0) return { ...tree, [key]: withValueAt(inner, rest, value) };
  return { ...tree, [key]: isTree(value) ? { ...value, ...inner } : value };
};

const variableOf = (path: readonly string[]): string =>
  path.map((key) => key.replace(/[A-Z]/g, (capital) => `_${capital}`).toUpperCase()).join("_");

const isSecret = (schema: AnySchema): boolean => v.getMetadata(schema).secret === true;

export const isTree = (value: unknown): value is Tree =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const hasEntries = (schema: AnySchema): schema is AnySchema & { entries: v.ObjectEntries } =>
  "entries" in schema;

/** Through optional and its kin. */
const unwrap = (schema: AnySchema): AnySchema =>
  "wrapped" in schema ? unwrap(schema.wrapped as AnySchema) : schema;
