/**
 * Removing what was closed long ago: letters with their history, and redrives and replays that are
 * over. Open letters stay, however old. The inbox row of a removed letter is removed with the old
 * ones (packages/inbox), since its record may come again until then.
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

/** Inbox rows of one transaction. */
const rowsMax = 10_000;

/**
 * Replays that are over, with what the inbox knows under their own names: not at once, since a
 * process that was away may still run the same one. Returns how many rows were removed of one.
 */
export const cleanReplays = (sql: Sql, { keepMs }: Pick<Cleaning, "keepMs">): Promise<number> =>
  sql.begin(async (tx) => {
    const [replay] = await tx<{ id: string; name: string | null }[]>`
      select id, nullif(ran_as, handler) as name from outrider.replays
      where state <> 'running'
        and changed_at < clock_timestamp() - ${keepMs}::float8 * interval '1 ms'
      order by id limit 1 for update skip locked`;
    if (!replay) return 0;
    const { id, name } = replay;
    const rows = await tx`
      delete from outrider.inbox where handler = ${name} and event_id in (
        select i.event_id from outrider.inbox i
        where i.handler = ${name} and i.state <> 'parked' and not exists (
          select from outrider.dead_letters letter
          where letter.handler = i.handler and letter.event_id = i.event_id
            and letter.state = 'open')
        limit ${rowsMax})`;
    if (rows.count === rowsMax) return rows.count;
    await tx`delete from outrider.breakers where handler = ${name}`;
    await tx`delete from outrider.replay_ranges where replay = ${id}`;
    await tx`delete from outrider.replays where id = ${id}`;
    return rows.count + 1;
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
      const clean = async () =>
        (await cleanLetters(sql, { keepMs })) + (await cleanReplays(sql, { keepMs }));
      const removed = await clean().catch((error: unknown) => {
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
