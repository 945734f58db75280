/**
 * Checks who was given up (S9b of docs/guarantees.md): an event only for failures of its own, as
 * many as its handler allows. What ran beside it, what was away, and whoever ended are no fault
 * of its.
 */

import type { Violation } from "./history.ts";

export type Blame = Readonly<{
  /** Events that were given up. */
  dead: readonly string[];
  /** How often each has failed by itself. */
  failures: ReadonlyMap<string, number>;
  attemptsMax: number;
}>;

export const checkBlame = ({ dead, failures, attemptsMax }: Blame): Violation[] =>
  dead.flatMap((id): Violation[] => {
    const own = failures.get(id) ?? 0;
    if (own >= attemptsMax) return [];
    const detail = `it was given up after ${own} of ${attemptsMax} failures of its own`;
    return [{ kind: "blamed", subject: id, detail }];
  });
