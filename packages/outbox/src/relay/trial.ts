/**
 * How carefully a shard is published whose owner ended without giving it back. Whatever may have
 * been on its way then is suspect: it goes in small batches, and the one on its way is on record. A
 * batch that was on record when its process ended is fatal, and then nothing else is suspect: it
 * goes in smaller batches, in the end row by row, one row of the whole process at a time. A row
 * with which alone two processes in a row have ended is condemned. What a process has outlived is
 * not suspect any more.
 *
 * Of a pass of 2,000 rows small batches have 96 rows, smaller ones 5: each is about a twentieth of
 * the one before. So an event that ends its process is found in five deaths, and processes that
 * somebody else has ended leave some twenty batches of a shard to be published with care.
 */

import type { Lease } from "./lease.ts";

export type Trial = Readonly<{
  /** A lease begins. The relay's own failures change nothing; the end of another one does. */
  begin(lease: Lease): void;
  isOver(): boolean;
  /** Most rows of the next batch; 1: alone in the process. */
  rowsMax(): number;
  /** So many rows up to this id were handed to the client, and the process lives. */
  outlive(count: number, lastId: number): void;
  /** Nothing is suspect any more. */
  end(): void;
}>;

/** Rows up to `last` were in the batch that was on its way. */
type Fatal = Readonly<{ last: number; rowsMax: number }>;

export const createTrial = (batchMax: number): Trial => {
  const small = Math.ceil(batchMax ** 0.6);
  const smaller = Math.ceil(batchMax ** 0.2);
  let epoch: bigint | undefined;
  let left = 0;
  let fatal: Fatal | undefined;
  let isOver = true;

  const fatalOf = ({ trying, suspects }: Lease): Fatal | undefined => {
    if (trying !== null) return { last: trying, rowsMax: 1 };
    return suspects && { last: suspects.last, rowsMax: suspects.rows > smaller ? smaller : 1 };
  };

  return {
    begin: (lease) => {
      const isOwn = epoch !== undefined && BigInt(lease.epoch) === epoch + 1n;
      epoch = BigInt(lease.epoch);
      isOver = lease.crashes === 0;
      if (isOwn) return;
      left = batchMax;
      fatal = fatalOf(lease);
    },
    isOver: () => isOver,
    rowsMax: () => {
      if (isOver) return Infinity;
      return fatal?.rowsMax ?? (left > 0 ? small : batchMax);
    },
    outlive: (count, lastId) => {
      left -= count;
      isOver = fatal ? lastId >= fatal.last : left <= 0;
    },
    end: () => {
      isOver = true;
    },
  };
};
