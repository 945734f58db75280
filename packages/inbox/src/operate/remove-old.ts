/**
 * Removing old inbox rows, in bulk. A row is needed as long as its record may come again: until the
 * group's watermark is past it, and its topic has let go of it. So what is kept must be longer than
 * any topic's retention; the watermark is looked at here, and that of a halted partition says
 * nothing: it may be read again from its beginning. Parked rows stay, and dead ones while
 * there is a letter of them. Attempts are only read by people, and kept for as long.
 */

import type { Sql } from "@outrider/postgres";

export type KeptHandler = Readonly<{ name: string; group: string }>;

export type Removal = Readonly<{
  handlers: readonly KeptHandler[];
  keepMs: number;
  /** Most rows of one transaction. */
  rowsMax?: number;
}>;

const rowsMaxDefault = 10_000;

/** What a replay adds to its handler's name. */
const replayed = "#[0-9]+$";

/** Removes one batch, unless another worker is at it; returns how many rows that was. */
export const removeOldInbox = (
  sql: Sql,
  { handlers, keepMs, rowsMax = rowsMaxDefault }: Removal,
): Promise<number> =>
  sql.begin(async (tx) => {
    const [lock] = await tx<{ isMine: boolean }[]>`
      select pg_try_advisory_xact_lock(hashtextextended('outrider.inbox.remove', 0)) as "isMine"`;
    if (!lock?.isMine) return 0;
    // By row address: deleting what a plain join finds would read the index once for each row.
    const rows = await tx`
      delete from outrider.inbox where ctid = any(array(
        select i.ctid from outrider.inbox i
        join unnest(
          ${handlers.map((one) => one.name)}::text[], ${handlers.map((one) => one.group)}::text[]
        ) as kept (name, consumer_group) on kept.name = i.handler
        where i.recorded_at < clock_timestamp() - ${keepMs}::float8 * interval '1 ms'
          and (i.state = 'handled' or i.state = 'dead' and not exists (
            select from outrider.dead_letters letter
            where letter.handler = i.handler and letter.event_id = i.event_id))
          and i."offset" < (
            select next_offset from outrider.watermarks w
            where w."group" = kept.consumer_group and w.topic = i.topic
              and w.partition = i.partition and w.halted_at is null)
        limit ${rowsMax}))`;
    const names = handlers.map((one) => one.name);
    const attempts = await tx`
      delete from outrider.external_attempts where ctid = any(array(
        select ctid from outrider.external_attempts
        where regexp_replace(handler, ${replayed}, '') = any(${names}::text[])
          and started_at < clock_timestamp() - ${keepMs}::float8 * interval '1 ms'
        limit ${rowsMax}))`;
    const failures = await tx`
      delete from outrider.failed_attempts where ctid = any(array(
        select ctid from outrider.failed_attempts
        where regexp_replace(handler, ${replayed}, '') = any(${names}::text[])
          and at < clock_timestamp() - ${keepMs}::float8 * interval '1 ms'
        limit ${rowsMax}))`;
    return rows.count + attempts.count + failures.count;
  });
