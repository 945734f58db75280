/** A row of a queue, as it is read. */

import type { KafkaRecord } from "@outrider/event";
import { headersOf } from "@outrider/postgres";
import type { HeaderPair, Sql, TransactionSql } from "@outrider/postgres";

export type ParkedRow = Readonly<{
  eventId: string;
  record: KafkaRecord;
  /** Runs of it alone that have failed, whether they count or not. */
  runs: number;
  attempt: number;
  lost: number;
  killed: number;
  /** Since it failed first: while it only waits for others, it does not age. */
  ageMs: number;
}>;

export type StoredRow = {
  event_id: string;
  topic: string;
  partition: number;
  offset: string;
  timestamp_ms: string;
  record_key: Buffer | null;
  headers: HeaderPair[];
  value: Buffer | null;
  runs: number;
  attempt: number;
  lost: number;
  killed: number;
  age_ms: number;
  state: "due" | "dead";
  is_due: boolean;
};

export const rowOf = (row: StoredRow): ParkedRow => ({
  eventId: row.event_id,
  runs: row.runs,
  attempt: row.attempt,
  lost: row.lost,
  killed: row.killed,
  ageMs: row.age_ms,
  record: {
    topic: row.topic,
    partition: row.partition,
    offset: Number(row.offset),
    timestampMs: Number(row.timestamp_ms),
    key: row.record_key,
    value: row.value,
    headers: headersOf(row.headers),
  },
});

/** Of `outrider.parked p`; the topic is its head's. */
export const columns = (sql: Sql | TransactionSql) => sql`
  p.event_id, p.partition, p."offset", p.timestamp_ms, p.record_key, p.headers,
  p.value, p.runs, p.attempt, p.lost, p.killed, p.state, p.due_at <= clock_timestamp() as is_due,
  case when p.code is null then 0
    else (extract(epoch from clock_timestamp() - p.parked_at) * 1000)::float8 end as age_ms`;
