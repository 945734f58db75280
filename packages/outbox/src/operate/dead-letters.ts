/**
 * What follows from an operator's decision about one of the relay's dead letters, in the
 * transaction that closes it. It is written down here and carried out by the owner of the shard: an
 * operator's own transaction that moved rows could let a key's later events overtake (shown in the
 * models).
 */

import { fault } from "@outrider/event";
import type { HeaderPair, TransactionSql } from "@outrider/postgres";
import { shardsChannel } from "../relay/lease.ts";

export type GivenUp = Readonly<{
  /** Of the letter. */
  id: number;
  eventId: string;
  /** Its key has gone on without it. */
  skipped: boolean;
  headers: readonly HeaderPair[];
  payload: Uint8Array | null;
}>;

export type Replacement = Readonly<{ eventId: string; payload: Uint8Array }>;

/**
 * Publishes the event after all, then what waits behind it. With `edit` another event with a new
 * id takes its place, and says with `ce_replaces` whose. Throws `conflict` when nothing waits.
 */
export const publishAgain = (
  tx: TransactionSql,
  letter: GivenUp,
  edit?: Replacement,
): Promise<void> =>
  letter.skipped
    ? insertAgain(tx, letter, edit)
    : decide(tx, {
        letterId: letter.id,
        verdict: edit ? "edit" : "retry",
        replacementId: edit?.eventId ?? null,
        replacementPayload: edit?.payload ?? null,
      });

/** Leaves the event out for good; what waits behind it is published. */
export const discardHeld = async (
  tx: TransactionSql,
  { id: letterId, skipped }: GivenUp,
): Promise<void> => {
  const none = { replacementId: null, replacementPayload: null };
  if (!skipped) await decide(tx, { letterId, verdict: "discard", ...none });
};

type Verdict = Readonly<{
  letterId: number;
  verdict: string;
  replacementId: string | null;
  replacementPayload: Uint8Array | null;
}>;

const decide = async (tx: TransactionSql, { letterId, ...verdict }: Verdict): Promise<void> => {
  const decided = await tx`
    update outrider.blocked
    set state = 'release', verdict = ${verdict.verdict}, replacement_id = ${verdict.replacementId},
      replacement_payload = ${verdict.replacementPayload as Buffer | null}
    where letter_id = ${letterId} and state = 'on'`;
  if (decided.count !== 1) throw fault("conflict", `Dead letter ${letterId} blocks no key`);
  await tx`select pg_notify(${shardsChannel}, '')`;
};

/** Its key has gone on without it, so it comes after what is there now: a raw row at the end. */
const insertAgain = async (
  tx: TransactionSql,
  letter: GivenUp,
  edit: Replacement | undefined,
): Promise<void> => {
  const headers = edit
    ? [
        ...letter.headers.filter(([name]) => name !== "ce_id"),
        ["ce_id", edit.eventId],
        ["ce_replaces", letter.eventId],
      ]
    : letter.headers;
  await tx`
    insert into outrider.outbox (event_id, topic, key, headers, payload)
    select ${edit?.eventId ?? letter.eventId}, topic, key,
      ${JSON.stringify(headers)}::text::jsonb,
      ${(edit?.payload ?? letter.payload ?? new Uint8Array()) as Buffer}
    from outrider.dead_letters where id = ${letter.id}`;
};
