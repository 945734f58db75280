/**
 * What a run has done, from outside of the code under test: a trigger of the test's own copies
 * each event's identity in the transaction that writes it, so exactly the committed ones stay.
 */

import { readTopic } from "@outrider/broker";
import { headerTexts } from "@outrider/event";
import type { KafkaConnection, KafkaRecord } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { CommittedEvent, LogRecord } from "../checker/history.ts";

export const recordCommits = async (sql: Sql): Promise<void> => {
  await sql.unsafe(`
    create table public.committed_events (id uuid, key text, sequence int, topic text);
    create function public.record_commit() returns trigger language plpgsql as $$
    begin
      insert into public.committed_events
      values (new.event_id, convert_from(new.key, 'UTF8'), new.sequence, new.topic);
      return null;
    end $$;
    -- What handlers have given up is no event of its own.
    create trigger record_commit after insert on outrider.outbox
      for each row when (new.topic not like '%.dlq') execute function public.record_commit();
  `);
};

/** Of all topics, or of one. */
export const readCommits = async (sql: Sql, topic?: string): Promise<CommittedEvent[]> => [
  ...(await sql<CommittedEvent[]>`
    select id::text, key, sequence from public.committed_events
    where ${topic ?? null}::text is null or topic = ${topic ?? null}`),
];

/** Where each partition ends now, by partition number. */
export const readEnds = async (
  connection: KafkaConnection,
  topic: string,
): Promise<Map<number, number>> => {
  const ends = new Map<number, number>();
  for (const { partition, offset } of await readTopic(connection, topic)) {
    ends.set(partition, Math.max(ends.get(partition) ?? 0, offset + 1));
  }
  return ends;
};

/** The topic's records from offset 0, less those that an earlier run has left. */
export const readLog = async (
  connection: KafkaConnection,
  topic: string,
  starts: ReadonlyMap<number, number>,
): Promise<KafkaRecord[]> =>
  (await readTopic(connection, topic)).filter(
    ({ partition, offset }) => offset >= (starts.get(partition) ?? 0),
  );

export const logRecordOf = (record: KafkaRecord): LogRecord => {
  const headers = record.headers
    .flatMap((header) => Object.entries(header))
    .map(([name, bytes]) => [name, Buffer.from(bytes).toString("base64")]);
  const { partition, offset } = record;
  const value = Buffer.from(record.value ?? []).toString();
  return {
    id: headerTexts(record.headers).ce_id ?? `no id at ${partition}/${offset}`,
    key: Buffer.from(record.key ?? []).toString(),
    partition,
    offset,
    content: JSON.stringify({ headers, value }),
  };
};
