/** Reading what is not published yet, under the fence of a lease. */

import type { Sql } from "@outrider/postgres";
import { readCopy, sqlNumber, sqlText } from "./copy.ts";
import type { Fields } from "./copy.ts";
import type { Lease } from "./lease.ts";

/** A row as the relay reads it. Byte strings are slices of what was received. */
export type PendingRow = Readonly<{
  id: number;
  /** A UUID. */
  eventId: string;
  type: string | null;
  version: number | null;
  /** A bigint as text. */
  sequence: string | null;
  topic: string;
  key: Buffer;
  /** JSON: an object of texts. */
  headers: string;
  payload: Buffer;
  /** Milliseconds since 1970. */
  createdMs: number;
}>;

/** What a shard's reads leave out, and how much one may bring. */
export type ReadLimits = Readonly<{
  /** Rows up to this id are known to be gone. */
  floor: number;
  /** Topics that are set aside. */
  topics: readonly string[];
  rowsMax: number;
  /** Of payloads, for the batch; one row always comes, however large. */
  bytesMax: number;
}>;

/** What a read selects, in the order in which `pendingRowOf` takes it. */
export const pendingColumns = [
  ...["id", "event_id::text", "type", "version", "sequence::text", "topic", "key"],
  ...["headers::text", "payload"],
  `case when isfinite(created_at)
    then floor(extract(epoch from created_at) * 1000)::bigint else 0 end`,
].join(", ");

export const pendingRowOf = (fields: Fields): PendingRow => ({
  id: fields.int8(),
  eventId: fields.text(),
  type: fields.textOrNull(),
  version: fields.int4OrNull(),
  sequence: fields.textOrNull(),
  topic: fields.text(),
  key: fields.bytes(),
  headers: fields.text(),
  payload: fields.bytes(),
  createdMs: fields.int8(),
});

/** True while the lease holds; evaluated once a statement, in its own snapshot. */
const fence = ({ shard, owner, epoch, layout, incarnation }: Lease): string => `exists (
    select 1 from outrider.shards
    where shard = ${sqlNumber(shard)} and owner = ${sqlText(owner)}::uuid
      and epoch = ${sqlNumber(epoch)} and layout = ${sqlNumber(layout)}
      and extract(epoch from pg_postmaster_start_time())::text = ${sqlText(incarnation)}
  )`;

const bounded = (source: string, bytesMax: number): string => `
  select ${pendingColumns} from (
    select *, sum(octet_length(payload)) over (
      order by id rows between unbounded preceding and 1 preceding
    ) as bytes_before
    from (${source}) as found
  ) as counted
  where bytes_before is null or bytes_before < ${sqlNumber(bytesMax)}
  order by id`;

/**
 * The first visible rows of a shard in id order. One statement, since two would see two snapshots
 * and could swap a key's events; with the fence inside, since a relay that has lost its lease
 * must not publish what its successor knows to hold back. Empty when there is nothing *or* when
 * the lease is lost.
 */
export const readPending = (
  sql: Sql,
  { shard, owner, epoch, layout, incarnation }: Lease,
  { floor, topics, rowsMax, bytesMax }: ReadLimits,
): Promise<PendingRow[]> => {
  const values = [
    `${sqlNumber(shard)}::smallint`,
    `${sqlText(owner)}::uuid`,
    ...[epoch, layout].map(sqlNumber),
    sqlText(incarnation),
    sqlNumber(floor),
    `array[${topics.map(sqlText).join(", ")}]::text[]`,
    ...[rowsMax, bytesMax].map(sqlNumber),
  ];
  const query = `select * from outrider.read_pending(${values.join(", ")})`;
  return readCopy(sql, query, pendingRowOf);
};

/** The first rows that wait behind a blocked key, in id order, under the same fence. */
export const readHeld = (
  sql: Sql,
  lease: Lease,
  { block, rowsMax, bytesMax }: Readonly<{ block: string; rowsMax: number; bytesMax: number }>,
): Promise<PendingRow[]> => {
  const source = `
    select * from outrider.outbox_held
    where block = ${sqlNumber(block)} and ${fence(lease)}
    order by id
    limit ${sqlNumber(rowsMax)}`;
  return readCopy(sql, bounded(source, bytesMax), pendingRowOf);
};

/** What a look at an idle shard leaves out. */
export type IdleShard = Readonly<{ lease: Lease; floor: number; topics: readonly string[] }>;

/** Looks over idle shards: whether each has something to read. A lost one does not come back. */
export const findPending = async (
  sql: Sql,
  owner: string,
  idle: readonly IdleShard[],
): Promise<Map<number, boolean>> => {
  const rows = await sql<{ shard: number; incarnation: string; pending: boolean }[]>`
    select s.shard, extract(epoch from pg_postmaster_start_time())::text as incarnation,
      -- ordered, since for a mere EXISTS the planner scans the table, dead rows and all
      (
        select o.id from outrider.outbox o
        where o.shard = s.shard and o.id > mine.floor and not mine.topics ? o.topic
        order by o.id limit 1
      ) is not null as pending
    from outrider.shards s
    join unnest(
      ${idle.map(({ lease }) => lease.shard)}::smallint[],
      ${idle.map(({ lease }) => lease.epoch)}::bigint[],
      ${idle.map(({ floor }) => floor)}::bigint[],
      ${idle.map(({ topics }) => JSON.stringify(topics))}::jsonb[]
    ) as mine (shard, epoch, floor, topics) on s.shard = mine.shard and s.epoch = mine.epoch
    where s.owner = ${owner}`;
  const leases = new Map(idle.map(({ lease }) => [lease.shard, lease]));
  const valid = rows.filter((row) => leases.get(row.shard)?.incarnation === row.incarnation);
  return new Map(valid.map((row) => [row.shard, row.pending]));
};
