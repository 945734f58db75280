/** Where a partition starts, from what Postgres and Kafka know of it. */

import type { AssignedPartition } from "@outrider/event";

export type Start =
  | Readonly<{ kind: "from"; offset: number }>
  /** Kafka has deleted records that the group has not read: it goes on with what is left. */
  | Readonly<{ kind: "gap"; offset: number; missing: number }>
  /** The watermark is beyond the log's end: this is not the log it was written for. */
  | Readonly<{ kind: "beyond"; watermark: number }>;

/** A group without a watermark starts at the beginning. */
export const startOffset = (
  { low, high }: AssignedPartition,
  watermark: number | undefined,
): Start => {
  if (watermark === undefined) return { kind: "from", offset: low };
  if (watermark > high) return { kind: "beyond", watermark };
  if (watermark < low) return { kind: "gap", offset: low, missing: low - watermark };
  return { kind: "from", offset: watermark };
};
