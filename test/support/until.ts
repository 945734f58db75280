/** Waiting in tests: for a condition, with a deadline, never for a time. */

import { setTimeout as delay } from "node:timers/promises";

export type Until = Readonly<{
  /** What is waited for, told when it does not come. */
  what: string;
  timeoutMs?: number;
  pollMs?: number;
}>;

/** Resolves with the first result that is neither false nor undefined; throws at the deadline. */
export const until = async <T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = 30_000, pollMs = 20 }: Until,
): Promise<Exclude<T, false | undefined>> => {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const result = await condition();
    if (result !== false && result !== undefined) return result as Exclude<T, false | undefined>;
    if (performance.now() > deadlineMs) {
      throw new Error(`${what} did not come within ${timeoutMs} ms`);
    }
    await delay(pollMs);
  }
};
