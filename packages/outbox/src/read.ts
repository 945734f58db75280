/** Reading what is not published yet, under the fence of a lease. */

import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";

/** A row as the relay reads it; bigints are text. */
export type PendingRow = Readonly<{
  id: string;
  event_id: string;
  type: string | null;
  version: number | null;
  sequence: string | null;
  topic: string;
  key: Buffer;
  headers: Readonly<Record<string, string>>;
  payload: Buffer;
  /** Milliseconds since 1970. */
  created_ms: string;
}>;

/**
 * The first visible rows of a shard in id order. One statement, since two would see two snapshots
 * and could swap a key's events; with the fence inside, since a relay that has lost its lease
 * must not publish what its successor knows to hold back. Empty when there is nothing *or* when
 * the lease is lost.
 */
export const readPending = (
  sql: Sql,
  { shard, owner, epoch, layout }: Lease,
  max: number,
): Promise<PendingRow[]> => sql<PendingRow[]>`
  select id, event_id, type, version, sequence, topic, key, headers, payload,
    floor(extract(epoch from created_at) * 1000)::bigint as created_ms
  from outrider.outbox
  where shard = ${shard} and exists (
    select 1 from outrider.shards
    where shard = ${shard} and owner = ${owner} and epoch = ${epoch} and layout = ${layout}
  )
  order by id
  limit ${max}`;

/** Looks over idle shards: whether each has something to read. A lost one does not come back. */
export const findPending = async (
  sql: Sql,
  owner: string,
  leases: readonly Lease[],
): Promise<Map<number, boolean>> => {
  const rows = await sql<{ shard: number; pending: boolean }[]>`
    select s.shard,
      -- ordered, since for a mere EXISTS the planner scans the table, dead rows and all
      (select o.id from outrider.outbox o where o.shard = s.shard order by o.id limit 1)
        is not null as pending
    from outrider.shards s
    join unnest(
      ${leases.map((lease) => lease.shard)}::smallint[],
      ${leases.map((lease) => lease.epoch)}::bigint[]
    ) as mine (shard, epoch) on s.shard = mine.shard and s.epoch = mine.epoch
    where s.owner = ${owner}`;
  return new Map(rows.map((row) => [row.shard, row.pending]));
};
