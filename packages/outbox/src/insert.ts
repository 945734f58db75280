/** One statement for any number of outbox rows; ids are drawn in the order of the events. */

import { rawSql } from "@outrider/postgres";
import type { Transaction } from "@outrider/postgres";

/** One row as it is inserted; `headers` is JSON text. */
export type OutboxRow = Readonly<{
  eventId: string;
  type: string | null;
  version: number | null;
  sequence: number | null;
  topic: string;
  key: Buffer;
  headers: string;
  payload: Buffer;
}>;

// bytea[] by its OID: postgres.js infers it wrongly, and stores wrong bytes from hex strings.
const byteaArray = 1001;

/** `rows` must not be empty. */
export const insertRows = (tx: Transaction, rows: readonly OutboxRow[]): Promise<void> => {
  const [first, ...others] = rows;
  return first && others.length === 0 ? insertOne(tx, first) : insertMany(tx, rows);
};

/** Most transactions write one event, and taking arrays apart costs them a sixth of their rate. */
const insertOne = async (tx: Transaction, row: OutboxRow): Promise<void> => {
  await rawSql(tx)`
    insert into outrider.outbox (event_id, type, version, sequence, topic, key, headers, payload)
    values (
      ${row.eventId}, ${row.type}, ${row.version}, ${row.sequence}, ${row.topic}, ${row.key},
      ${row.headers}::text::jsonb, ${row.payload}
    )`;
};

const insertMany = async (tx: Transaction, rows: readonly OutboxRow[]): Promise<void> => {
  const sql = rawSql(tx);
  const column = <K extends keyof OutboxRow>(name: K) => rows.map((row) => row[name]);
  await sql`
    insert into outrider.outbox (event_id, type, version, sequence, topic, key, headers, payload)
    select event_id, type, version, sequence, topic, key, headers, payload
    from unnest(
      ${column("eventId")}::uuid[],
      ${column("type")}::text[],
      ${column("version")}::int[],
      ${column("sequence")}::bigint[],
      ${column("topic")}::text[],
      ${sql.array(column("key"), byteaArray)}::bytea[],
      ${column("headers")}::jsonb[],
      ${sql.array(column("payload"), byteaArray)}::bytea[]
    ) with ordinality
      as row (event_id, type, version, sequence, topic, key, headers, payload, position)
    order by position`;
};
