/**
 * What an operator decides about a dead letter of a handler: it is run again at its old place, as
 * it is or edited, and then what waits behind it; or it is left out. Never by publishing to its
 * topic, where it would come after all that has happened since.
 */

import { fault } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { settleHead } from "../parking/queue.ts";

export type Decision = Readonly<{
  /** Of the letter. */
  id: number;
  /** Who decides, and why: both are kept with the letter. */
  by: string;
  reason: string;
}>;

export type Edit = Readonly<{ eventId: string; payload: Uint8Array }>;

type Letter = Readonly<{
  handler: string;
  eventId: string;
  topic: string;
  key: Buffer;
  partition: number;
  offset: string;
}>;

/**
 * Runs the event again, or `edit` in its place, a new event that says with `ce_replaces` whose.
 * Throws `not_found`, or `conflict` when somebody else has decided.
 */
export const redriveLetter = (
  sql: Sql,
  { edit, ...decision }: Decision & Readonly<{ edit?: Edit }>,
): Promise<void> =>
  decide(
    sql,
    { ...decision, state: "redriven", replacedBy: edit?.eventId ?? null },
    {
      before: async (tx, letter) => {
        if (!edit) return;
        await tx`
        insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
        values (${letter.handler}, ${edit.eventId}, 'parked', ${letter.topic},
          ${letter.partition}, ${letter.offset})`;
      },
      act: async (tx, letter, head) => {
        if (!edit) {
          await tx`
          update outrider.inbox set state = 'parked', recorded_at = clock_timestamp()
          where handler = ${letter.handler} and event_id = ${letter.eventId} and state = 'dead'`;
        }
        await enqueueAgain(tx, { letter, head, ...(edit && { edit }) });
      },
    },
  );

/** Leaves the event out for good; what waits behind it is run. Throws as redriving does. */
export const discardLetter = (sql: Sql, decision: Decision): Promise<void> =>
  decide(
    sql,
    { ...decision, state: "discarded", replacedBy: null },
    {
      before: async () => {},
      act: async (tx, letter) => {
        await tx`
        delete from outrider.parked
        where handler = ${letter.handler} and event_id = ${letter.eventId}`;
      },
    },
  );

type Outcome = Decision & Readonly<{ state: "redriven" | "discarded"; replacedBy: string | null }>;

type Steps = Readonly<{
  /** New inbox rows. */
  before(tx: TransactionSql, letter: Letter): Promise<void>;
  act(tx: TransactionSql, letter: Letter, head: string): Promise<void>;
}>;

/** In the lock order of the queue: new inbox rows, the head, inbox rows, queue rows, the letter. */
const decide = (sql: Sql, outcome: Outcome, { before, act }: Steps): Promise<void> =>
  sql.begin(async (tx) => {
    const { id, by, reason, state, replacedBy } = outcome;
    const letter = await readLetter(tx, id);
    await before(tx, letter);
    const head = await lockHead(tx, letter);
    await act(tx, letter, head);
    await settleHead(tx, head);
    const closed = await tx`
      update outrider.dead_letters
      set state = ${state}, closed_at = clock_timestamp(), closed_by = ${by}, reason = ${reason},
        replaced_by = ${replacedBy}
      where id = ${id} and state = 'open'`;
    if (closed.count === 1) return;
    const [row] = await tx`
      select state, closed_by, closed_at from outrider.dead_letters where id = ${id}`;
    const when = row?.closed_at instanceof Date ? row.closed_at.toISOString() : "before";
    throw fault("conflict", `Dead letter ${id} is ${row?.state}, by ${row?.closed_by} at ${when}`);
  });

const readLetter = async (tx: TransactionSql, id: number): Promise<Letter> => {
  const [letter] = await tx<Letter[]>`
    select handler, event_id as "eventId", topic, key, partition, "offset"
    from outrider.dead_letters where id = ${id} and origin = 'handler'`;
  if (!letter) throw fault("not_found", `There is no dead letter ${id} of a handler`);
  return letter;
};

/**
 * Locks the head of the letter's key, or makes a fresh one: its key has gone on without it, and
 * somebody may be running a later event of it right now.
 */
const lockHead = async (tx: TransactionSql, { handler, topic, key }: Letter): Promise<string> => {
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
  { letter, head, edit }: Readonly<{ letter: Letter; head: string; edit?: Edit }>,
): Promise<void> => {
  const { handler, eventId } = letter;
  const there = await tx`
    select from outrider.parked where handler = ${handler} and event_id = ${eventId}`;
  if (there.length === 0) {
    await tx`
      insert into outrider.parked
        (head, handler, event_id, partition, "offset", timestamp_ms, record_key, headers, value)
      select ${head}, handler, event_id, partition, "offset",
        floor(extract(epoch from occurred_at) * 1000)::bigint, key,
        headers, payload
      from outrider.dead_letters where handler = ${handler} and event_id = ${eventId}`;
  }
  await tx`
    update outrider.parked
    set state = 'due', attempt = 0, lost = 0, due_at = clock_timestamp(), token = null,
      code = null, message = null
    where handler = ${handler} and event_id = ${eventId}`;
  if (!edit) return;
  await tx`
    update outrider.parked
    set event_id = ${edit.eventId}, value = ${edit.payload as Buffer},
      headers = (
        select coalesce(jsonb_agg(pair), '[]') from jsonb_array_elements(headers) as pair
        where pair ->> 0 <> 'ce_id'
      ) || jsonb_build_array(
        jsonb_build_array('ce_id', ${edit.eventId}::text),
        jsonb_build_array('ce_replaces', ${eventId}::text))
    where handler = ${handler} and event_id = ${eventId}`;
};
