/**
 * Line coverage of all source files over both runtimes. Bun and Node report each what they have
 * loaded; a file that neither has loaded counts with all its lines, as not covered.
 */

/** Hits by line number, by file. */
export type LineHits = ReadonlyMap<string, ReadonlyMap<number, number>>;

export type FileCoverage = Readonly<{ file: string; lines: number; covered: number }>;

export type CoverageInput = Readonly<{
  /** Sources by path. */
  sources: ReadonlyMap<string, string>;
  /** Bun names the lines that hold code. */
  bun: LineHits;
  /** Node names every line. */
  node: LineHits;
}>;

/** Reads an lcov report; `pathOf` gives the path that the sources are known by. */
export const readLcov = (lcov: string, pathOf: (path: string) => string): LineHits => {
  const files = new Map<string, Map<number, number>>();
  let hits = new Map<number, number>();
  for (const line of lcov.split("\n")) {
    if (line.startsWith("SF:")) {
      const path = pathOf(line.slice(3));
      hits = files.get(path) ?? new Map<number, number>();
      files.set(path, hits);
    }
    const found = /^DA:(\d+),(\d+)/.exec(line);
    if (!found) continue;
    const number = Number(found[1]);
    hits.set(number, (hits.get(number) ?? 0) + Number(found[2]));
  }
  return files;
};

export const mergeCoverage = ({ sources, bun, node }: CoverageInput): FileCoverage[] =>
  [...sources].map(([file, source]) => {
    const code = codeLines(source);
    const lines = [...(bun.get(file)?.keys() ?? node.get(file)?.keys() ?? code)];
    const counted = lines.filter((line) => code.has(line));
    const hits = (line: number) =>
      (bun.get(file)?.get(line) ?? 0) + (node.get(file)?.get(line) ?? 0);
    const covered = counted.filter((line) => hits(line) > 0).length;
    return { file, lines: counted.length, covered };
  });

/** Share of covered lines, 0 to 1. */
export const coveredShare = (files: readonly FileCoverage[]): number => {
  const lines = files.reduce((sum, one) => sum + one.lines, 0);
  const covered = files.reduce((sum, one) => sum + one.covered, 0);
  return lines === 0 ? 0 : covered / lines;
};

/** Numbers of the lines that are neither empty nor comment only. */
const codeLines = (source: string): Set<number> => {
  const code = new Set<number>();
  let isComment = false;
  for (const [index, line] of source.split("\n").entries()) {
    const text = line.trim();
    if (text.startsWith("/*")) isComment = true;
    if (!isComment && text !== "" && !text.startsWith("//")) code.add(index + 1);
    if (text.endsWith("*/")) isComment = false;
  }
  return code;
};
