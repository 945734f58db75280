import { partitionOf } from "@outrider/event";

/** Some key that lies in this partition. */
export const keyIn = (partition: number, partitions: number): string => {
  for (let n = 0; ; n += 1) {
    if (partitionOf(Buffer.from(`key-${n}`), partitions) === partition) return `key-${n}`;
  }
};
