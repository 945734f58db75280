/**
 * Telling relays that something was committed, so that they need not wait for their next look.
 * Sent after the commit, never in the business transaction (NOTIFY there halves the rate at which
 * transactions commit), and at most once in `hintMs` per process. A hint that is lost costs a
 * relay's pause between two looks, nothing else.
 */

import type { Database } from "@outrider/postgres";

export const hintChannel = "outrider_outbox";

/** Returns what to call after a commit. It never throws and is not to be waited for. */
export const createHint = (db: Database, hintMs: number): (() => void) => {
  let isQuiet = false;
  let isWanted = false;
  const send = (): void => {
    isQuiet = true;
    isWanted = false;
    db.$client.notify(hintChannel, "").catch(() => {});
    setTimeout(() => {
      isQuiet = false;
      if (isWanted) send();
    }, hintMs).unref();
  };
  return () => {
    if (isQuiet) isWanted = true;
    else send();
  };
};
