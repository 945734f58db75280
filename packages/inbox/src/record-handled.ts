/** The inbox row that makes an event's effect happen once. */

import { rawSql } from "@outrider/postgres";
import type { Transaction } from "@outrider/postgres";

export type HandledEvent = Readonly<{ eventId: string; offset: number }>;

export type HandledBatch = Readonly<{
  /** Limit of each statement that follows in the transaction. */
  statementTimeoutMs: number;
  handler: string;
  topic: string;
  partition: number;
  events: readonly HandledEvent[];
}>;

/**
 * Inserts one row per event, before the handler runs, and returns the ids that had none: only
 * these may run. A row of another worker's open transaction is waited for, and that is the fence
 * across rebalances: it commits and the event is skipped here, or rolls back and it runs here.
 * Sorted, so that two batches in other orders cannot deadlock. READ COMMITTED only.
 */
export const recordHandled = async (
  tx: Transaction,
  { statementTimeoutMs, handler, topic, partition, events }: HandledBatch,
): Promise<Set<string>> => {
  const rows = await rawSql(tx)<{ event_id: string }[]>`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    select ${handler}, event_id, 'handled', ${topic}, ${partition}, position
    from unnest(
      ${events.map((event) => event.eventId)}::uuid[],
      ${events.map((event) => event.offset)}::bigint[]
    ) as batch (event_id, position)
    -- here, to save a round trip: a handler's own statement ends with its time limit
    cross join set_config('statement_timeout', ${String(statementTimeoutMs)}, true)
    order by event_id
    on conflict do nothing
    returning event_id`;
  return new Set(rows.map((row) => row.event_id));
};
