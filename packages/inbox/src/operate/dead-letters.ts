/**
 * What follows from an operator's decision about a dead letter of a handler, in the transaction
 * that closes it: its event is run again at its old place, as it is or edited, and then what waits
 * behind it; or it is left out. Never by publishing to its topic, where it would come after all
 * that has happened since.
 */

import type { TransactionSql } from "@outrider/postgres";
import { settleHead } from "../parking/queue.ts";

export type GivenUp = Readonly<{
  handler: string;
  eventId: string;
  topic: string;
  key: Buffer;
  partition: number;
  offset: string;
}>;

export type Replacement = Readonly<{ eventId: string; payload: Uint8Array }>;

/**
 * Runs the event again, or `edit` in its place, a new event that says with `ce_replaces` whose. The
 * letter is closed behind it, in the lock order of the queue: new inbox rows, the head, inbox rows,
 * queue rows, letters.
 */
export const runAgain = async (
  tx: TransactionSql,
  letter: GivenUp,
  edit?: Replacement,
): Promise<void> => {
  const { handler, eventId, topic, partition, offset } = letter;
  if (edit) {
    await tx`
      insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
      values (${handler}, ${edit.eventId}, 'parked', ${topic}, ${partition}, ${offset})`;
  }
  const head = await lockHead(tx, letter);
  if (!edit) {
    await tx`
      update outrider.inbox set state = 'parked', recorded_at = clock_timestamp()
      where handler = ${handler} and event_id = ${eventId} and state = 'dead'`;
  }
  await enqueueAgain(tx, { letter, head, ...(edit && { edit }) });
  await settleHead(tx, head);
};

/** Leaves the event out for good; what waits behind it is run. The letter is closed behind it. */
export const leaveOut = async (tx: TransactionSql, letter: GivenUp): Promise<void> => {
  const head = await lockHead(tx, letter);
  await tx`
    delete from outrider.parked
    where handler = ${letter.handler} and event_id = ${letter.eventId}`;
  await settleHead(tx, head);
};

/**
 * Locks the head that the event holds. Where it holds none, its key has gone on without it, and
 * somebody may be running a later event of it right now: the head is a fresh one then.
 */
const lockHead = async (
  tx: TransactionSql,
  { handler, eventId, topic, key }: GivenUp,
): Promise<string> => {
  const [held] = await tx<{ id: string }[]>`
    select h.id from outrider.parked p join outrider.parked_heads h on h.id = p.head
    where p.handler = ${handler} and p.event_id = ${eventId}
    for update of h`;
  if (held) return held.id;
  const [row] = await tx<{ id: string }[]>`
    insert into outrider.parked_heads as h (handler, topic, key, due_at, fresh)
    values (${handler}, ${topic}, ${key}, clock_timestamp(), true)
    on conflict (handler, topic, sha256(key)) do update set handler = excluded.handler
    returning id`;
  if (!row) throw new Error("no row");
  return row.id;
};

/** Its row is still there where it held its key; otherwise it is made anew, at its old place. */
const enqueueAgain = async (
  tx: TransactionSql,
  { letter, head, edit }: Readonly<{ letter: GivenUp; head: string; edit?: Replacement }>,
): Promise<void> => {
  const { handler, eventId } = letter;
  const due = await tx`
    update outrider.parked
    set state = 'due', runs = 0, attempt = 0, lost = 0, killed = 0,
      due_at = clock_timestamp(), token = null, code = null, message = null
    where handler = ${handler} and event_id = ${eventId}`;
  if (due.count === 0) {
    await tx`
      insert into outrider.parked
        (head, handler, event_id, partition, "offset", timestamp_ms, record_key, headers, value)
      select ${head}, handler, event_id, partition, "offset",
        floor(extract(epoch from occurred_at) * 1000)::bigint, key, headers, payload
      from outrider.dead_letters where handler = ${handler} and event_id = ${eventId}`;
  }
  if (!edit) return;
  await tx`
    update outrider.parked
    set event_id = ${edit.eventId}, value = ${edit.payload as Buffer},
      headers = (
        select coalesce(jsonb_agg(pair order by at), '[]')
        from jsonb_array_elements(headers) with ordinality as one (pair, at)
        where pair ->> 0 <> 'ce_id'
      ) || jsonb_build_array(
        jsonb_build_array('ce_id', ${edit.eventId}::text),
        jsonb_build_array('ce_replaces', ${eventId}::text))
    where handler = ${handler} and event_id = ${eventId}`;
};
