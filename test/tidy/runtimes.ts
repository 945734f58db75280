/** Which runtime a file may run on, told from everything that is loaded with it. */

import { loadedBy, reachFrom } from "./imports.ts";
import type { Source } from "./sources.ts";

/** What Bun starts: the CLI, the HTTP apps, the test files. */
export const startsOnBun = (path: string): boolean =>
  /^apps\/(cli\/src\/(main|bootstrap)|[^/]+\/src\/http)\.ts$/.test(path) ||
  path.endsWith(".test.ts");

/** What Node starts: the daemons that hold the Confluent client, and tests of such. */
export const startsOnNode = (path: string): boolean =>
  /^apps\/(relay\/src\/main|[^/]+\/src\/worker)\.ts$/.test(path) || path.endsWith(".node.ts");

/** The Confluent client ends a Bun process at its first native call. */
export const checkBun = (starts: readonly string[], sources: readonly Source[]): string[] =>
  starts.flatMap((start) =>
    [...reachFrom(start, sources)]
      .filter(([to]) => /^(packages\/kafka\/|@confluentinc\/)/.test(to))
      .map(([, way]) => `Bun would load the Confluent client: ${way.join(" -> ")}`),
  );

/** Parts of an edge app that need more than Web APIs, each with its reason. */
export const edgeExemptions: Readonly<Record<string, string>> = {};

type Foreign = Readonly<{ imports: RegExp; api: RegExp }>;

const native: Foreign = {
  imports: /^(node:|bun(:|$))/,
  api: /\b(Bun|Deno|process)\.\w|\b(Buffer|__dirname|require)\b[.(]|import\.meta\.dir/,
};

const bunOnly: Foreign = { imports: /^bun(:|$)/, api: /\bBun\.\w/ };

/** An edge app's own files and all of ours that they load use Web APIs only. */
export const checkEdge = (
  start: string,
  sources: readonly Source[],
  exemptions: readonly string[],
): string[] => {
  const isExempt = (path: string) => exemptions.some((prefix) => path.startsWith(prefix));
  return loadedWith(start, sources)
    .filter(({ path }) => !isExempt(path))
    .flatMap((source) => usesOf(source, native));
};

/** What Node starts needs nothing of Bun's. */
export const checkNode = (starts: readonly string[], sources: readonly Source[]): string[] => {
  const loaded = new Set(starts.flatMap((start) => loadedWith(start, sources)));
  return [...loaded].flatMap((source) => usesOf(source, bunOnly));
};

const loadedWith = (start: string, sources: readonly Source[]): Source[] => {
  const reached = reachFrom(start, sources);
  return sources.filter(({ path }) => reached.has(path));
};

const usesOf = ({ path, text }: Source, foreign: Foreign): string[] => [
  ...loadedBy(text)
    .filter((specifier) => foreign.imports.test(specifier))
    .map((specifier) => `${path} imports ${specifier}`),
  ...withoutComments(text)
    .split("\n")
    .filter((line) => foreign.api.test(line))
    .map((line) => `${path} uses what is not there: ${line.trim()}`),
];

const withoutComments = (text: string): string =>
  text.replace(/\/\*[^]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
