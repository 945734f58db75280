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

/** What a read of one shard leaves out, and how much it may bring. */
export type ReadRequest = Readonly<{
  lease: Lease;
  /** Rows up to this id are known to be gone. */
  floor: number;
  /** Topics that are set aside. */
  topics: readonly string[];
  rowsMax: number;
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
 * The first visible rows of each shard in id order; of all of them no more than `bytesMax` bytes
 * of payload, though one row always comes, however large. Per shard one statement, since two
 * would see two snapshots and could swap a key's events; with the fence inside, since a relay that
 * has lost its lease must not publish what its successor knows to hold back. A shard without rows
 * has nothing waiting *or* is lost.
 */
export const readPending = async (
  sql: Sql,
  requests: readonly ReadRequest[],
  bytesMax: number,
): Promise<Map<number, PendingRow[]>> => {
  const asked = requests.map(({ lease, ...limits }) => ({ ...lease, ...limits }));
  const values = `${sqlText(JSON.stringify(asked))}::jsonb, ${sqlNumber(bytesMax)}`;
  const found = new Map<number, PendingRow[]>();
  await readCopy(sql, `select * from outrider.read_pending(${values})`, (fields) => {
    const shard = fields.int8();
    const row = pendingRowOf(fields);
    const rows = found.get(shard);
    if (rows) rows.push(row);
    else found.set(shard, [row]);
  });
  return found;
};

/** The first rows that wait behind a blocked key, in id order, under the same fence. */
export const readHeld = async (
  sql: Sql,
  lease: Lease,
  { block, rowsMax, bytesMax }: Readonly<{ block: string; rowsMax: number; bytesMax: number }>,
): Promise<PendingRow[]> => {
  const source = `
    select * from outrider.outbox_held
    where block = ${sqlNumber(block)} and ${fence(lease)}
    order by id
    limit ${sqlNumber(rowsMax)}`;
  const rows: PendingRow[] = [];
  await readCopy(sql, bounded(source, bytesMax), (fields) => rows.push(pendingRowOf(fields)));
  return rows;
};
