/** Plain statistics of measurements. */

export type Spread = Readonly<{ median: number; min: number; max: number }>;

/** Throws without values. */
export const spreadOf = (values: readonly number[]): Spread => ({
  median: percentile(values, 0.5),
  min: Math.min(...values),
  max: Math.max(...values),
});

/** The smallest value that is not below the share `p` of all (nearest rank). */
export const percentile = (values: readonly number[], p: number): number => {
  if (values.length === 0) throw new Error("no values");
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] as number;
};
