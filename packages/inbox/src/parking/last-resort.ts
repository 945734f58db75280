/**
 * What becomes of an event whose outcome Postgres refuses, whatever the reason: it is given up with
 * its bytes, and with nothing else that a column could refuse. An event that is tried for ever
 * stops its partition. There is no record for the dead-letter topic, since that may
 * be what was refused.
 */

import { pairsOf } from "@outrider/postgres";
import type { HeaderPair, TransactionSql } from "@outrider/postgres";
import type { Classified } from "../classify.ts";
import type { OnBury } from "../handler.ts";
import { keyOf, lockClaim, settleHead, takeHead } from "./queue.ts";
import type { Claim, Waiting } from "./queue.ts";

export type Refused = Readonly<{
  waiting: Waiting;
  /** Of its queue. */
  key: Uint8Array;
  onBury: OnBury;
  /** What Postgres has said. */
  refusal: Classified;
}>;

export const refusedCode = "OUTCOME_REFUSED";

/** At its first delivery. False: it has an outcome already. */
export const buryRefused = async (
  tx: TransactionSql,
  handler: string,
  refused: Refused,
): Promise<boolean> => {
  const { topic, partition, offset } = refused.waiting.record;
  const inserted = await tx`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    values (${handler}, ${refused.waiting.eventId}, 'dead', ${topic}, ${partition}, ${offset})
    on conflict do nothing`;
  if (inserted.count === 0) return false;
  if (refused.onBury === "hold") {
    const head = await takeHead(tx, { handler, topic, key: refused.key }, null);
    await insertDead(tx, { handler, head }, refused);
  }
  await insertLetter(tx, handler, refused);
  return true;
};

/** The claim's one event. False: somebody else has the claim by now. */
export const buryRefusedClaim = async (
  tx: TransactionSql,
  claim: Claim,
  refused: Refused,
): Promise<boolean> => {
  if (!(await lockClaim(tx, claim))) return false;
  const { handler, head } = claim;
  const { eventId } = refused.waiting;
  await tx`
    update outrider.inbox set state = 'dead', recorded_at = clock_timestamp()
    where handler = ${handler} and event_id = ${eventId} and state = 'parked'`;
  await tx`delete from outrider.parked where handler = ${handler} and event_id = ${eventId}`;
  if (refused.onBury === "hold") await insertDead(tx, { handler, head }, refused);
  await settleHead(tx, head);
  await insertLetter(tx, handler, refused);
  return true;
};

/** Every value in base64: nothing of it is read as text. */
const bare = ({ record }: Waiting): readonly HeaderPair[] =>
  pairsOf(record.headers).map(([name, value]) => {
    const base64 = typeof value === "string" ? Buffer.from(value).toString("base64") : value.base64;
    return [name.replaceAll("\0", "\uFFFD").toWellFormed(), { base64 }];
  });

const insertDead = async (
  tx: TransactionSql,
  { handler, head }: Readonly<{ handler: string; head: string }>,
  { waiting, refusal }: Refused,
): Promise<void> => {
  const { record, eventId } = waiting;
  await tx`
    insert into outrider.parked
      (head, handler, event_id, partition, "offset", timestamp_ms, record_key, headers, value,
        state, attempt, code, message)
    values (${head}, ${handler}, ${eventId}, ${record.partition}, ${record.offset}, 0,
      ${record.key as Buffer | null}, ${JSON.stringify(bare(waiting))}::text::jsonb,
      ${record.value as Buffer | null}, 'dead', 1, ${refusedCode}, ${refusal.message})`;
};

const insertLetter = async (
  tx: TransactionSql,
  handler: string,
  { waiting, onBury, refusal }: Refused,
): Promise<void> => {
  const { record, eventId } = waiting;
  const message = `Postgres refuses its outcome: ${refusal.code}: ${refusal.message}`;
  const [letter] = await tx<{ id: string }[]>`
    insert into outrider.dead_letters as letter
      (origin, handler, event_id, topic, key, partition, "offset", headers, payload, code, message,
        fingerprint, skipped, occurred_at)
    values ('handler', ${handler}, ${eventId}, ${record.topic}, ${keyOf(waiting) as Buffer},
      ${record.partition}, ${record.offset}, ${JSON.stringify(bare(waiting))}::text::jsonb,
      ${record.value as Buffer | null}, ${refusedCode}, ${message},
      ${`${handler} | ${refusedCode} | ${refusal.code}`}, ${onBury === "skip"}, clock_timestamp())
    on conflict (event_id, handler) do update
    set state = 'open', attempts = letter.attempts + 1, code = excluded.code,
      message = excluded.message, fingerprint = excluded.fingerprint, skipped = excluded.skipped,
      buried_at = clock_timestamp(), closed_at = null, closed_by = null, reason = null
    returning id`;
  await tx`
    insert into outrider.dead_letter_history (letter, action, message)
    values (${letter?.id ?? null}, 'buried', ${message})`;
};
