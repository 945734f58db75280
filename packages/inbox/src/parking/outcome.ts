/**
 * What becomes of an event whose handler failed, or that was parked: each function is one
 * transaction's worth of statements. Every event of a handler has exactly one inbox row, whatever
 * its outcome, and that row's key is the fence: whoever finds it taken stops.
 */

import { versionOf } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { pairsOf } from "@outrider/postgres";
import type { HeaderPair, TransactionSql } from "@outrider/postgres";
import { fingerprintOf } from "../classify.ts";
import type { Classified } from "../classify.ts";
import type { OnBury } from "../handler.ts";
import { deadLetterRecord } from "./dead-letter-record.ts";
import type { WriteRecord } from "./dead-letter-record.ts";
import { recordFailure } from "./failed-attempts.ts";
import type { RunEnd } from "./failed-attempts.ts";
import type { ParkedRow } from "./parked-row.ts";
import {
  enqueue,
  keyName,
  keyOf,
  lockClaim,
  lockClaims,
  settleHead,
  settleHeads,
  takeHead,
} from "./queue.ts";
import type { Claim, Waiting } from "./queue.ts";

export type Failing = Readonly<{
  failure: Classified;
  error: unknown;
  /** Of the handler. */
  group: string;
  writeRecord: WriteRecord;
}>;

const insertInbox = async (
  tx: TransactionSql,
  { handler, waiting, state }: Readonly<{ handler: string; waiting: Waiting; state: string }>,
): Promise<boolean> => {
  const { topic, partition, offset } = waiting.record;
  const inserted = await tx`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    values (${handler}, ${waiting.eventId}, ${state}, ${topic}, ${partition}, ${offset})
    on conflict do nothing`;
  return inserted.count === 1;
};

export type NewlyParked = Readonly<{
  waiting: Waiting;
  /** Of its queue. */
  key: Uint8Array;
  delayMs: number;
  failure: Classified;
}>;

/** What something else is to blame for counts for nobody. */
const countOf = ({ kind }: Classified): number =>
  kind === "transient" || kind === "deployment" ? 0 : 1;

/**
 * Parks an event at its first delivery; it is due in `delayMs`. False: it has an outcome already.
 */
export const park = async (
  tx: TransactionSql,
  handler: string,
  { waiting, key, delayMs, failure }: NewlyParked,
): Promise<boolean> => {
  if (!(await insertInbox(tx, { handler, waiting, state: "parked" }))) return false;
  const queue = { handler, topic: waiting.record.topic, key };
  const head = await takeHead(tx, queue, delayMs);
  const entry = { state: "due", attempt: countOf(failure), runs: 1, delayMs, failure } as const;
  await enqueue(tx, { head, handler }, { waiting: [waiting], ...entry });
  const { eventId } = waiting;
  await recordFailure(tx, { handler, eventId, attempt: 1, failure, end: "failed" });
  return true;
};

/**
 * Parks events that nobody has run here, since somebody else may have been killed by one of them:
 * they are due at once, and their runs are claimed. Those with `lost` are suspect. Returns how
 * many had no outcome yet.
 */
export const parkUnrun = async (
  tx: TransactionSql,
  { handler, topic }: Readonly<{ handler: string; topic: string }>,
  events: readonly Readonly<{ waiting: Waiting; key: Uint8Array; lost: number }>[],
): Promise<number> => {
  const inserted = await tx<{ event_id: string }[]>`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    select ${handler}, event_id, 'parked', ${topic}, partition, position
    from unnest(
      ${events.map(({ waiting }) => waiting.eventId)}::uuid[],
      ${events.map(({ waiting }) => waiting.record.partition)}::int[],
      ${events.map(({ waiting }) => waiting.record.offset)}::bigint[]
    ) as unrun (event_id, partition, position)
    order by event_id
    on conflict do nothing
    returning event_id`;
  const ids = new Set(inserted.map((row) => row.event_id));
  const fresh = events.filter(({ waiting }) => ids.delete(waiting.eventId));
  const byKey = Map.groupBy(fresh, ({ key }) => keyName(key));
  // Sorted, so that two that do the same cannot deadlock.
  const sorted = [...byKey].toSorted(([a], [b]) => (a < b ? -1 : 1));
  for (const [key, ofKey] of sorted) {
    const head = await takeHead(tx, { handler, topic, key: Buffer.from(key, "hex") }, 0);
    for (const [lost, alike] of Map.groupBy(ofKey, (one) => one.lost)) {
      const waiting = alike.map((one) => one.waiting);
      await enqueue(tx, { head, handler }, { waiting, state: "due", attempt: 0, lost, delayMs: 0 });
    }
  }
  return fresh.length;
};

/** Gives an event up at its first delivery. False: it has an outcome already. */
export const buryNew = async (
  tx: TransactionSql,
  handler: string,
  {
    waiting,
    key,
    onBury,
    ...failing
  }: Failing & Readonly<{ waiting: Waiting; key: Uint8Array; onBury: OnBury }>,
): Promise<boolean> => {
  if (!(await insertInbox(tx, { handler, waiting, state: "dead" }))) return false;
  if (onBury === "hold") {
    const queue = { handler, topic: waiting.record.topic, key };
    const head = await takeHead(tx, queue, null);
    const { failure } = failing;
    const entry = { state: "dead", attempt: 1, runs: 1, delayMs: 0, failure } as const;
    await enqueue(tx, { head, handler }, { waiting: [waiting], ...entry });
  }
  const { eventId } = waiting;
  const { failure } = failing;
  await recordFailure(tx, { handler, eventId, attempt: 1, failure, end: "failed" });
  await writeLetter(tx, { handler, waiting, attempts: 1, onBury, ...failing });
  return true;
};

/** The claims' events are handled. False: a claim is lost, and nothing of it may stay. */
export const finish = async (
  tx: TransactionSql,
  claims: readonly [Claim, ...Claim[]],
): Promise<boolean> => {
  if (!(await lockClaims(tx, claims))) return false;
  const { handler } = claims[0];
  const ids = claims.flatMap((claim) => claim.rows.map((row) => row.eventId));
  const updated = await tx`
    update outrider.inbox set state = 'handled', recorded_at = clock_timestamp()
    where handler = ${handler} and event_id = any(${ids}::uuid[]) and state = 'parked'`;
  if (updated.count !== ids.length) return false;
  await tx`
    delete from outrider.parked where handler = ${handler} and event_id = any(${ids}::uuid[])`;
  await settleHeads(
    tx,
    claims.map((claim) => claim.head),
  );
  return true;
};

/** Several failed together, which counts for none: the next claim takes one. */
export const split = async (tx: TransactionSql, claim: Claim): Promise<void> => {
  if (await lockClaim(tx, claim)) await settleHead(tx, claim.head, "one");
};

/** The claim's one event is to be tried again in `delayMs`. */
export const postpone = async (
  tx: TransactionSql,
  claim: Claim,
  {
    row,
    delayMs,
    failure,
    end,
  }: Readonly<{ row: ParkedRow; delayMs: number; failure: Classified; end: RunEnd }>,
): Promise<void> => {
  if (!(await lockClaim(tx, claim))) return;
  const { handler } = claim;
  const { eventId, attempt } = row;
  await tx`
    update outrider.parked
    set attempt = attempt + ${countOf(failure)}, runs = runs + 1, code = ${failure.code},
      -- its process has outlived this run
      lost = case when ${end === "failed"} then 0 else lost end,
      killed = case when ${end === "failed"} then 0 else killed end,
      message = ${failure.message},
      parked_at = case when code is null then clock_timestamp() else parked_at end,
      due_at = clock_timestamp() + ${delayMs}::float8 * interval '1 ms'
    where handler = ${handler} and event_id = ${eventId}`;
  await recordFailure(tx, { handler, eventId, attempt: attempt + 1, failure, end });
  await settleHead(tx, claim.head);
};

/** The claim's one event has ended the process that ran it alone; a fresh one tries it next. */
export const countKill = async (
  tx: TransactionSql,
  claim: Claim,
  { row, failure }: Readonly<{ row: ParkedRow; failure: Classified }>,
): Promise<void> => {
  if (!(await lockClaim(tx, claim))) return;
  const { handler } = claim;
  const { eventId, attempt } = row;
  await tx`
    update outrider.parked set killed = killed + 1
    where handler = ${handler} and event_id = ${eventId}`;
  await recordFailure(tx, { handler, eventId, attempt, failure, end: "killed" });
  await settleHead(tx, claim.head);
};

export type Burying = Failing &
  Readonly<{
    row: ParkedRow;
    onBury: OnBury;
    end: RunEnd;
    /** Who has decided it; that is no attempt. */
    by?: string;
  }>;

/** The claim's one event is given up. False: somebody else has the claim by now. */
export const buryParked = async (
  tx: TransactionSql,
  claim: Claim,
  burying: Burying,
): Promise<boolean> => {
  if (!(await lockClaim(tx, claim))) return false;
  await buryFirst(tx, claim, burying);
  return true;
};

/** The first event of a head, locked by now, is given up. Returns the letter's id. */
export const buryFirst = async (
  tx: TransactionSql,
  { handler, head }: Pick<Claim, "handler" | "head">,
  { row, end, ...letter }: Burying,
): Promise<string> => {
  const { eventId } = row;
  const { failure, onBury } = letter;
  const attempts = row.attempt + (letter.by === undefined ? 1 : 0);
  await tx`
    update outrider.inbox set state = 'dead', recorded_at = clock_timestamp()
    where handler = ${handler} and event_id = ${eventId} and state = 'parked'`;
  if (onBury === "hold") {
    await tx`
      update outrider.parked
      set state = 'dead', attempt = ${attempts}, code = ${failure.code},
        message = ${failure.message}
      where handler = ${handler} and event_id = ${eventId}`;
  } else {
    await tx`
      delete from outrider.parked where handler = ${handler} and event_id = ${eventId}`;
  }
  await recordFailure(tx, { handler, eventId, attempt: attempts, failure, end });
  await settleHead(tx, head);
  return writeLetter(tx, { ...letter, handler, waiting: row, attempts });
};

type Letter = Failing &
  Pick<Burying, "by" | "onBury"> &
  Readonly<{ handler: string; waiting: Waiting; attempts: number }>;

const writeLetter = async (
  tx: TransactionSql,
  { handler, waiting, attempts, onBury, failure, error, group, writeRecord, by }: Letter,
): Promise<string> => {
  const { record, eventId } = waiting;
  const fingerprint = fingerprintOf(handler, failure, error);
  const key = keyOf(waiting);
  const headers = pairsOf(record.headers);
  const { ce_type, ce_dataschema, ce_sequence, ce_time } = textsOf(headers);
  const [letter] = await tx<{ id: string; attempts: number }[]>`
    insert into outrider.dead_letters as letter
      (origin, handler, event_id, type, version, sequence, topic, key, partition, "offset",
        headers, payload, code, message, fingerprint, attempts, skipped, occurred_at)
    values ('handler', ${handler}, ${eventId}, ${ce_type ?? null},
      ${ce_type === undefined ? null : versionOf(ce_type, ce_dataschema)},
      ${integerOf(ce_sequence)},
      ${record.topic}, ${key as Buffer}, ${record.partition}, ${record.offset},
      ${JSON.stringify(headers)}::text::jsonb, ${record.value as Buffer | null}, ${failure.code},
      ${failure.message}, ${fingerprint}, ${attempts},
      ${onBury === "skip"}, to_timestamp(${timeOf(ce_time, record) / 1000}::float8))
    on conflict (event_id, handler) do update
    set state = 'open', attempts = letter.attempts + excluded.attempts, code = excluded.code,
      message = excluded.message, fingerprint = excluded.fingerprint, skipped = excluded.skipped,
      buried_at = clock_timestamp(), closed_at = null, closed_by = null, reason = null
    returning id, attempts`;
  if (!letter) throw new Error("no row");
  await tx`
    insert into outrider.dead_letter_history (letter, action, by, message)
    values (${letter.id}, 'buried', ${by ?? null},
      ${by === undefined ? `${failure.code}: ${failure.message}` : failure.message})`;
  const given = { handler, group, eventId, key, record, failure, fingerprint };
  await writeRecord(tx, deadLetterRecord({ ...given, attempts: letter.attempts }));
  return letter.id;
};

/** The last one of a name wins; what is no text is left out. */
const textsOf = (pairs: readonly HeaderPair[]): Record<string, string> =>
  Object.fromEntries(
    pairs.flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );

const integerOf = (text: string | undefined): number | null => {
  const number = Number(text ?? NaN);
  return Number.isSafeInteger(number) ? number : null;
};

/** The years 100 to 9999: the driver reads years of two digits as others. */
const [timeMinMs, timeMaxMs] = [-59_011_459_200_000, 253_402_300_799_999];

/** The event's own time, where it says one; else the record's. Milliseconds. */
const timeOf = (text: string | undefined, { timestampMs }: KafkaRecord): number => {
  const ownMs = Date.parse(text ?? "");
  return Math.min(Math.max(Number.isNaN(ownMs) ? timestampMs : ownMs, timeMinMs), timeMaxMs);
};
