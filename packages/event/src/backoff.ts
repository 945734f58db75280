/** How long to wait before the next try. */

export type Backoff = Readonly<{ baseMs: number; capMs: number }>;

/**
 * Full jitter: uniform between zero and `baseMs * 2^(failures - 1)`, at most `capMs`. Many that
 * failed together do not come back together (Brooker, "Exponential Backoff And Jitter", 2015).
 * `random` gives numbers in [0, 1).
 */
export const backoffMs = (
  failures: number,
  { baseMs, capMs }: Backoff,
  random: () => number = Math.random,
): number => Math.round(random() * Math.min(baseMs * 2 ** (failures - 1), capMs));
