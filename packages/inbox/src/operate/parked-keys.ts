/**
 * What an operator decides about a parked key, by the id of its head: its first event is run at
 * once or later, or is given up. Each is a part of the caller's transaction, in the lock order of
 * the queue. Whoever decides about several keys in one transaction takes them as SQL sorts them by
 * handler, topic and key, as whoever locks several heads does: otherwise both wait for each other.
 *
 * All throw Fault `not_found` when the key is not parked any more, and `conflict` while its first
 * event is a dead letter or is running. A claim that has run out does not count: it ends here, and
 * what its runner comes back with is refused.
 */

import { fault } from "@outrider/event";
import type { TransactionSql } from "@outrider/postgres";
import type { OnBury } from "../handler.ts";
import type { WriteRecord } from "../parking/dead-letter-record.ts";
import { buryFirst } from "../parking/outcome.ts";
import { columns, rowOf } from "../parking/parked-row.ts";
import type { ParkedRow, StoredRow } from "../parking/parked-row.ts";
import { countLost, settleHead } from "../parking/queue.ts";

/** The key's first event is due at once; runners find it when they look. */
export const runNow = async (tx: TransactionSql, headId: number): Promise<void> =>
  makeDue(tx, await takeFront(tx, headId), null);

/** The key's first event is due then, and does not age meanwhile; it counts as no attempt. */
export const postponeHead = async (
  tx: TransactionSql,
  headId: number,
  until: Date,
): Promise<void> => makeDue(tx, await takeFront(tx, headId), until);

export type Burial = Readonly<{
  /** Who decides, and why: both are kept with the letter. */
  by: string;
  reason: string;
  /** What becomes of the later events of the key. */
  behind: OnBury;
  /** Of the handler. */
  group: string;
  writeRecord: WriteRecord;
  /** The event that is meant: `conflict` when another one is the key's first by now. */
  eventId?: string;
}>;

/** The key's first event becomes a dead letter, as when its handler gives up. Returns its id. */
export const buryHead = async (
  tx: TransactionSql,
  headId: number,
  { reason, behind, eventId, ...burial }: Burial,
): Promise<number> => {
  const front = await takeFront(tx, headId);
  if (eventId !== undefined && eventId !== front.row.eventId) {
    throw fault("conflict", `Another event is the first of parked key ${headId} by now`);
  }
  const failure = { kind: "fatal", code: "BURIED_BY_OPERATOR", message: reason } as const;
  const buried = { row: front.row, onBury: behind, failure, error: undefined } as const;
  return Number(await buryFirst(tx, front, { ...burial, ...buried, end: "unrun" }));
};

type Front = Readonly<{ head: string; handler: string; row: ParkedRow }>;

type Head = Readonly<{
  id: string;
  handler: string;
  topic: string;
  fresh: boolean;
  isClaimed: boolean;
}>;

/** Locks the head; statements of their own follow, which see what was waited for. */
const takeFront = async (tx: TransactionSql, headId: number): Promise<Front> => {
  const [head] = await tx<Head[]>`
    select id, handler, topic, fresh,
      coalesce(claimed_until >= clock_timestamp(), false) as "isClaimed"
    from outrider.parked_heads where id = ${headId}
    for update`;
  if (!head) throw fault("not_found", `There is no parked key ${headId}`);
  if (head.fresh) throw fault("conflict", `Parked key ${headId} was just redriven; try again`);
  if (head.isClaimed) throw fault("conflict", `Parked key ${headId} is running; try again`);
  await countLost(tx, [head.id]);
  const [first] = await tx<StoredRow[]>`
    select ${head.topic} as topic, ${columns(tx)} from outrider.parked p where p.head = ${head.id}
    order by p.partition, p."offset" limit 1`;
  if (!first) throw fault("not_found", `There is no parked key ${headId}`);
  if (first.state === "dead") throw await heldBy(tx, headId, { ...head, eventId: first.event_id });
  return { head: head.id, handler: head.handler, row: rowOf(first) };
};

const heldBy = async (
  tx: TransactionSql,
  headId: number,
  { handler, eventId }: Readonly<{ handler: string; eventId: string }>,
): Promise<Error> => {
  const [letter] = await tx<{ id: string }[]>`
    select id from outrider.dead_letters where handler = ${handler} and event_id = ${eventId}`;
  return fault("conflict", `Parked key ${headId} is held by dead letter ${letter?.id}`);
};

/** Null: now. The claim, if there was one, ends with it. */
const makeDue = async (
  tx: TransactionSql,
  { head, handler, row }: Front,
  until: Date | null,
): Promise<void> => {
  await tx`
    update outrider.parked p
    set due_at = due.at,
      -- At the latest when it is due: it may be postponed again and again, or run before that.
      parked_at = least(parked_at + greatest(due.at - clock_timestamp(), '0'),
        greatest(due.at, clock_timestamp()))
    from (
      select coalesce(${until?.toISOString() ?? null}::timestamptz, clock_timestamp()) as at
    ) as due
    where p.handler = ${handler} and p.event_id = ${row.eventId}`;
  await settleHead(tx, head);
  await tx`update outrider.parked_heads set timer_at = null where id = ${head}`;
};
