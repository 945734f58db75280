/** When an event that has failed is run again. */

import { backoffMs } from "@outrider/event";
import type { FailureKind } from "./classify.ts";
import type { Retry } from "./handler.ts";

export type FailedRuns = Readonly<{
  kind: FailureKind;
  /** Of the event by itself, counted as attempts or not: the back-off grows by all of them. */
  runs: number;
  /** What the failure asks for, such as a service's `Retry-After`; of any size. */
  askedMs: number | undefined;
  random(): number;
}>;

/**
 * At least the back-off, and at least what is asked for, up to `retryAfterMaxMs`: a service that
 * asks for a year gets an hour, and one that asks for a second each time is asked more seldom.
 */
export const retryDelayMs = (retry: Retry, { kind, runs, askedMs, random }: FailedRuns): number => {
  if (kind === "deployment") {
    // A newer worker may be there at any time, and older ones may have claimed the event first.
    const capMs = Math.min(retry.capMs, retry.versionRetryMaxMs);
    return backoffMs(runs, { ...retry, capMs }, random);
  }
  // Also what is no number at all.
  const asked = askedMs !== undefined && askedMs > 0 ? askedMs : 0;
  return Math.max(backoffMs(runs, retry, random), Math.min(asked, retry.retryAfterMaxMs));
};
