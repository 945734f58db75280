/** Removes what is old now and then, a batch after the other. */

import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { removeOldInbox } from "./operate/remove-old.ts";
import type { KeptHandler } from "./operate/remove-old.ts";

export type CleaningLimits = Readonly<{
  /** How long inbox rows are kept: longer than any topic of the handlers keeps its records. */
  inboxKeepMs: number;
  /** How often it is looked for old ones. */
  inboxCleanMs: number;
}>;

/** Between two batches, so that others get their turn. */
const pauseMs = 100;

export const startCleaning = (
  handlers: readonly KeptHandler[],
  { sql, log }: Readonly<{ sql: Sql; log: Log }>,
  { inboxKeepMs: keepMs, inboxCleanMs }: CleaningLimits,
): Readonly<{ stop(): Promise<void> }> => {
  const stopping = new AbortController();
  const rest = (ms: number) => delay(ms, undefined, stopping).catch(() => {});
  const live = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const removed = await removeOldInbox(sql, { handlers, keepMs }).catch((error: unknown) => {
        log.warn({ err: error }, "old inbox rows were not removed");
        return 0;
      });
      if (removed > 0) log.debug({ removed }, "old inbox rows are removed");
      await rest(removed > 0 ? pauseMs : inboxCleanMs);
    }
  };
  const living = live();
  return {
    stop: async () => {
      stopping.abort();
      await living;
    },
  };
};
