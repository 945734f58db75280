/**
 * What somebody decides about one dead letter, the relay's or a handler's. A decision and what
 * follows from it are one transaction, the caller's; of two operators at once, one finds the letter
 * closed. A transaction in which one of these has thrown is only good for rolling back.
 */

import { fault } from "@outrider/event";
import { leaveOut, runAgain } from "@outrider/inbox";
import { discardHeld, publishAgain } from "@outrider/outbox";
import type { HeaderPair, TransactionSql } from "@outrider/postgres";
import { diffOf } from "./diff.ts";

export type Decision = Readonly<{
  /** Of the letter. */
  id: number;
  /** Who decides, and why: both are kept with the letter. */
  by: string;
  reason: string;
}>;

/** A payload that takes the place of the letter's, as a new event with this id. */
export type Edit = Readonly<{ eventId: string; payload: Uint8Array }>;

export type Redriving = Decision &
  Readonly<{
    edit?: Edit | undefined;
    /** The bulk operation that it belongs to. */
    redrive?: number | undefined;
  }>;

/**
 * The event is published or run after all, at its old place where its key still waits for it, and
 * then what waits behind it. Throws `not_found`, `conflict` when the letter is not open, or
 * `invalid` when an edited payload is not JSON and has to be.
 */
export const redriveLetter = async (tx: TransactionSql, redriving: Redriving): Promise<void> => {
  const { edit } = redriving;
  const letter = await readTarget(tx, redriving.id);
  if (edit) assertJson(letter, edit);
  const closing = { ...redriving, action: "redriven", letter } as const;
  if (letter.handler === null) {
    // In this order as the relay's owner does: it looks at what is decided only when it is.
    await close(tx, closing);
    await publishAgain(tx, { ...letter, id: redriving.id }, edit);
  } else {
    await runAgain(tx, { ...letter, handler: letter.handler }, edit);
    await close(tx, closing);
  }
};

/** The event is left out for good, and what waits behind it goes on. Throws as redriving does. */
export const discardLetter = async (tx: TransactionSql, decision: Decision): Promise<void> => {
  const letter = await readTarget(tx, decision.id);
  const closing = { ...decision, action: "discarded", letter } as const;
  if (letter.handler === null) {
    await close(tx, closing);
    await discardHeld(tx, { ...letter, id: decision.id });
  } else {
    await leaveOut(tx, { ...letter, handler: letter.handler });
    await close(tx, closing);
  }
};

/**
 * A discarded letter is open again. Its key has gone on: it holds nothing, and redriven it comes
 * after later events. Throws `not_found`, or `conflict` when it is not discarded.
 */
export const restoreLetter = async (
  tx: TransactionSql,
  { id, by, reason }: Decision,
): Promise<void> => {
  const restored = await tx`
    update outrider.dead_letters
    set state = 'open', skipped = true, closed_at = null, closed_by = null, reason = null
    where id = ${id} and state = 'discarded'`;
  if (restored.count === 0) throw await whyNot(tx, id);
  await note(tx, { id, by, reason, action: "restored" });
};

/** A note is kept with the letter, whatever its state. Throws `not_found`. */
export const noteLetter = async (
  tx: TransactionSql,
  { id, by, reason }: Decision,
): Promise<void> => {
  await readTarget(tx, id);
  await note(tx, { id, by, reason, action: "noted" });
};

type Target = Readonly<{
  handler: string | null;
  eventId: string;
  topic: string;
  key: Buffer;
  partition: number;
  offset: string;
  skipped: boolean;
  headers: readonly HeaderPair[];
  payload: Buffer | null;
}>;

const readTarget = async (tx: TransactionSql, id: number): Promise<Target> => {
  const [letter] = await tx<Target[]>`
    select handler, event_id as "eventId", topic, key, partition, "offset", skipped, headers,
      payload
    from outrider.dead_letters where id = ${id}`;
  if (!letter) throw fault("not_found", `There is no dead letter ${id}`);
  return letter;
};

type Closing = Redriving & Readonly<{ action: "redriven" | "discarded"; letter: Target }>;

const close = async (tx: TransactionSql, closing: Closing): Promise<void> => {
  const { id, by, reason, action, edit, letter } = closing;
  const closed = await tx`
    update outrider.dead_letters
    set state = ${action}, closed_at = clock_timestamp(), closed_by = ${by}, reason = ${reason},
      replaced_by = ${edit?.eventId ?? null}
    where id = ${id} and state = 'open'`;
  if (closed.count === 0) throw await whyNot(tx, id);
  const diff = edit && diffOf(letter.payload ?? new Uint8Array(), edit.payload);
  await note(tx, { ...closing, diff });
};

const whyNot = async (tx: TransactionSql, id: number): Promise<Error> => {
  const [row] = await tx<{ state: string; closed_by: string | null; closed_at: Date | null }[]>`
    select state, closed_by, closed_at from outrider.dead_letters where id = ${id}`;
  if (!row) return fault("not_found", `There is no dead letter ${id}`);
  const by = row.closed_at ? `, by ${row.closed_by} at ${row.closed_at.toISOString()}` : "";
  return fault("conflict", `Dead letter ${id} is ${row.state}${by}`);
};

type Note = Pick<Redriving, "id" | "by" | "reason" | "edit" | "redrive"> &
  Readonly<{ action: "redriven" | "discarded" | "restored" | "noted"; diff?: string | undefined }>;

const note = async (tx: TransactionSql, one: Note): Promise<void> => {
  const { id, by, reason, action, edit, diff, redrive } = one;
  await tx`
    insert into outrider.dead_letter_history
      (letter, action, by, message, replaced_by, diff, redrive)
    values (${id}, ${action}, ${by}, ${reason}, ${edit?.eventId ?? null}, ${diff ?? null},
      ${redrive ?? null})`;
};

const assertJson = ({ headers }: Target, { payload }: Edit): void => {
  const isJson = headers.some(
    ([name, value]) => name === "content-type" && value === "application/json",
  );
  if (!isJson) return;
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(payload));
  } catch (cause) {
    throw fault("invalid", "The edited payload is not JSON, which its content type says", {
      cause,
    });
  }
};
