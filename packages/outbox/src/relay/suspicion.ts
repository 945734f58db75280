/**
 * Finding the one record that is refused for good. Every refusal halves the next batch; once a row
 * that is published alone is refused, it is condemned. Full batches come back when the rows of the
 * refused batch are behind us.
 */

import type { Cause } from "./bury.ts";

export type Condemned = Readonly<{ id: number; cause: Cause }>;

export type Suspicion = Readonly<{
  rowsMax(): number;
  /** Rows of a refused batch, by id in order. */
  refuse(ids: readonly number[], cause: Cause): void;
  /** Condemned already, such as a row that its process did not outlive. */
  condemn(id: number, cause: Cause): void;
  /** The row that is to be buried instead of published, and why. */
  condemned(): Condemned | undefined;
  /** The row is buried, or the rows up to this id are published. */
  pass(id: number): void;
}>;

export const createSuspicion = (batchMax: number): Suspicion => {
  let rowsMax = batchMax;
  let upTo = 0;
  let condemned: Condemned | undefined;

  const condemn = (id: number, cause: Cause): void => {
    condemned = { id, cause };
  };

  return {
    rowsMax: () => rowsMax,
    refuse: (ids, cause) => {
      const last = ids.at(-1);
      if (last === undefined) return;
      if (ids.length === 1) return condemn(last, cause);
      rowsMax = Math.max(1, Math.floor(ids.length / 2));
      upTo = Math.max(upTo, last);
    },
    condemn,
    condemned: () => condemned,
    pass: (id) => {
      if (condemned?.id === id) condemned = undefined;
      if (id < upTo) return;
      rowsMax = batchMax;
      upTo = 0;
    },
  };
};
