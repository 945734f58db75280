/**
 * Removing what was closed long ago: letters with their history, and redrives that are over. Open
 * letters stay, however old. The inbox row of a removed letter is removed with the old ones
 * (packages/inbox), since its record may come again until then.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@outrider/event";
import type { Sql } from "@outrider/postgres";

export type Cleaning = Readonly<{
  /** Since they were closed. */
  keepMs: number;
  /** Most letters of one transaction. */
  lettersMax?: number;
}>;

const lettersMaxDefault = 1000;

/** Removes one batch, unless somebody else is at it; returns how many letters that was. */
export const cleanLetters = (
  sql: Sql,
  { keepMs, lettersMax = lettersMaxDefault }: Cleaning,
): Promise<number> =>
  sql.begin(async (tx) => {
    const [lock] = await tx<{ isMine: boolean }[]>`
      select pg_try_advisory_xact_lock(hashtextextended('outrider.letters.clean', 0)) as "isMine"`;
    if (!lock?.isMine) return 0;
    const old = tx`clock_timestamp() - ${keepMs}::float8 * interval '1 ms'`;
    const letters = await tx<{ id: string }[]>`
      delete from outrider.dead_letters where id in (
        select id from outrider.dead_letters
        where state <> 'open' and closed_at < ${old}
        order by id limit ${lettersMax})
      returning id`;
    await tx`
      delete from outrider.dead_letter_history
      where letter = any(${letters.map((letter) => letter.id)}::bigint[])`;
    const redrives = await tx<{ id: string }[]>`
      delete from outrider.redrives
      where state in ('done', 'cancelled') and changed_at < ${old}
      returning id`;
    await tx`
      delete from outrider.redrive_items
      where redrive = any(${redrives.map((redrive) => redrive.id)}::bigint[])`;
    return letters.length;
  });

export type CleaningLimits = Readonly<{
  /** Since they were closed. */
  lettersKeepMs: number;
  /** How often it is looked for old ones. */
  lettersCleanMs?: number;
}>;

/** Cleans now and then, until it is stopped. */
export const startLetterCleaning = (
  { sql, log }: Readonly<{ sql: Sql; log: Log }>,
  { lettersKeepMs: keepMs, lettersCleanMs = 3_600_000 }: CleaningLimits,
): Readonly<{ stop(): Promise<void> }> => {
  const stopping = new AbortController();
  const live = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const removed = await cleanLetters(sql, { keepMs }).catch((error: unknown) => {
        log.warn({ err: error }, "old letters were not removed");
        return 0;
      });
      if (removed > 0) continue;
      await delay(lettersCleanMs, undefined, { signal: stopping.signal }).catch(() => {});
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
