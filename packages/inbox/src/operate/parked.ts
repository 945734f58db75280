/** How much waits behind events that failed. */

import type { Sql } from "@outrider/postgres";

/** Counting stops here, for each handler. */
const countMax = 100_000;

export type ParkedStatus = Readonly<{
  handler: string;
  /** Keys with an event that failed, at most `countMax`, as all counts here. */
  keys: number;
  /** Those events, and what waits behind them. */
  events: number;
  /** Of those keys: held by an event that was given up. */
  held: number;
  /** Since the first of the others was parked; 0 without any. */
  oldestAgeMs: number;
}>;

/**
 * Handlers are matched by a range of one, so that indexes are read: of an equality the planner
 * takes it that each has as much as the busiest, and scans whole tables for those without any.
 */
export const readParked = async (
  sql: Sql,
  handlers: readonly string[],
  eventsMax: number = countMax,
): Promise<ParkedStatus[]> => [
  ...(await sql<ParkedStatus[]>`
    select asked.handler, head.keys, head.held, greatest(head.keys, queue.events) as events,
      coalesce(greatest(0, extract(epoch from clock_timestamp() - head.oldest_at) * 1000), 0)
        ::float8 as "oldestAgeMs"
    from unnest(${handlers}::text[]) as asked (handler)
    cross join lateral (
      select count(*)::int as keys, count(*) filter (where due_at = 'infinity')::int as held,
        min(created_at) filter (where due_at <> 'infinity') as oldest_at
      from (
        select due_at, created_at from outrider.parked_heads h
        where h.handler between asked.handler and asked.handler
        limit ${countMax}
      ) as counted
    ) as head
    cross join lateral (
      select count(*)::int as events
      from (
        select 1 from outrider.parked p
        where p.handler between asked.handler and asked.handler
        limit ${eventsMax}
      ) as counted
    ) as queue`),
];
