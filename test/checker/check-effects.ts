/**
 * Checks rows that handlers wrote against what they should be (S7 of docs/guarantees.md): as if
 * each event had been handled exactly once, in order.
 */

import type { Violation } from "./history.ts";

/** Rows by name; a row is anything that JSON can hold. */
export type Rows = ReadonlyMap<string, unknown>;

export const checkEffects = (expected: Rows, actual: Rows): Violation[] => [
  ...[...expected].flatMap(([name, row]) => compare(name, row, actual)),
  ...[...actual.keys()]
    .filter((name) => !expected.has(name))
    .map((name): Violation => ({
      kind: "unexpected-effect",
      subject: name,
      detail: `${JSON.stringify(actual.get(name))} has no event that caused it`,
    })),
];

const compare = (name: string, row: unknown, actual: Rows): Violation[] => {
  if (!actual.has(name)) {
    return [{ kind: "missing-effect", subject: name, detail: `${JSON.stringify(row)} is missing` }];
  }
  const [wanted, found] = [JSON.stringify(row), JSON.stringify(actual.get(name))];
  if (wanted === found) return [];
  return [{ kind: "wrong-effect", subject: name, detail: `${found} should be ${wanted}` }];
};
