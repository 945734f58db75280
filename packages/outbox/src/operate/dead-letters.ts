/**
 * Dead letters as an operator sees them, the relay's and the handlers', and what an operator
 * decides about one of the relay's (a handler's: packages/inbox). A decision is written down here
 * and carried out by the owner of the shard: an operator's own transaction that moved rows could
 * let a key's later events overtake (shown in the models).
 */

import { fault } from "@outrider/event";
import type { HeaderPair, Sql } from "@outrider/postgres";
import { shardsChannel } from "../relay/lease.ts";

export type LetterState = "open" | "redriven" | "discarded";

export type LetterSummary = Readonly<{
  id: number;
  state: LetterState;
  /** Who gave up; null: the relay. */
  handler: string | null;
  topic: string;
  /** As text; what is no UTF-8 is replaced. */
  key: string;
  eventId: string;
  type: string | null;
  code: string;
  message: string;
  attempts: number;
  /** Later events of its key went on without it. */
  skipped: boolean;
  buriedAt: Date;
}>;

export type Letter = LetterSummary &
  Readonly<{
    version: number | null;
    sequence: number | null;
    headers: readonly HeaderPair[];
    payload: Uint8Array;
    occurredAt: Date;
    closedAt: Date | null;
    closedBy: string | null;
    reason: string | null;
    replacedBy: string | null;
    /** Events of its key that wait behind it, counted up to `waitingCountMax`. */
    waiting: number;
  }>;

export const waitingCountMax = 100_000;

export type LetterFilter = Readonly<{
  /** All states without it. */
  state?: LetterState;
  topic?: string;
  limit: number;
  /** Only letters with a lower id: the next page. */
  before?: number;
}>;

type SummaryRow = Omit<LetterSummary, "id" | "key"> & { id: string; key: Buffer };

const summaryOf = ({ id, key, ...row }: SummaryRow): LetterSummary => ({
  ...row,
  id: Number(id),
  key: key.toString("utf8"),
});

/** The newest first. */
export const listDeadLetters = async (
  sql: Sql,
  { state, topic, limit, before }: LetterFilter,
): Promise<LetterSummary[]> => {
  const rows = await sql<SummaryRow[]>`
    select id, state, handler, topic, key, event_id as "eventId", type, code, message, attempts,
      skipped, buried_at as "buriedAt"
    from outrider.dead_letters
    where true
      ${state ? sql`and state = ${state}` : sql``}
      ${topic ? sql`and topic = ${topic}` : sql``}
      ${before ? sql`and id < ${before}` : sql``}
    order by id desc
    limit ${limit}`;
  return rows.map(summaryOf);
};

/** Throws `not_found`. */
export const readDeadLetter = async (sql: Sql, id: number): Promise<Letter> => {
  const [row] = await sql<(SummaryRow & Omit<Letter, keyof LetterSummary>)[]>`
    select id, state, handler, topic, key, event_id as "eventId", type, version, sequence::float8,
      code, message, attempts, skipped, headers, coalesce(payload, '') as payload,
      occurred_at as "occurredAt",
      buried_at as "buriedAt", closed_at as "closedAt", closed_by as "closedBy", reason,
      replaced_by as "replacedBy",
      (
        select count(*)::int from (
          select from outrider.blocked b join outrider.outbox_held h on h.block = b.id
          where b.letter_id = letter.id and h.id <> b.head_id
          union all
          select from outrider.parked dead join outrider.parked p on p.head = dead.head
          where dead.handler = letter.handler and dead.event_id = letter.event_id
            and p.id <> dead.id
          limit ${waitingCountMax}
        ) as behind
      ) as waiting
    from outrider.dead_letters letter
    where id = ${id}`;
  if (!row) throw fault("not_found", `There is no dead letter ${id}`);
  const { waiting, ...rest } = row;
  return { ...rest, ...summaryOf(row), waiting };
};

export type Decision = Readonly<{
  id: number;
  /** Who decides, and why: both are kept with the letter. */
  by: string;
  reason: string;
}>;

export type Edit = Readonly<{ eventId: string; payload: Uint8Array }>;

/**
 * Publishes the event after all, then what waits behind it. With `edit` another event with a new
 * id takes its place, and says with `ce_replaces` whose. Throws `not_found`, `conflict` when the
 * letter is not open, or `invalid` when the edited payload is not JSON and has to be.
 */
export const releaseDeadLetter = async (
  sql: Sql,
  { edit, ...decision }: Decision & Readonly<{ edit?: Edit }>,
): Promise<void> => {
  const letter = await readOwn(sql, decision.id);
  if (edit) assertJson(letter, edit);
  await sql.begin(async (tx) => {
    await close(tx, { ...decision, state: "redriven", replacedBy: edit?.eventId ?? null });
    if (letter.skipped) return insertAgain(tx, letter, edit);
    await decide(tx, {
      letterId: decision.id,
      verdict: edit ? "edit" : "retry",
      replacementId: edit?.eventId ?? null,
      replacementPayload: edit?.payload ?? null,
    });
  });
};

/** Leaves the event out for good; what waits behind it is published. Throws as releasing does. */
export const discardDeadLetter = async (sql: Sql, decision: Decision): Promise<void> => {
  const { skipped } = await readOwn(sql, decision.id);
  await sql.begin(async (tx) => {
    await close(tx, { ...decision, state: "discarded", replacedBy: null });
    if (skipped) return;
    const none = { replacementId: null, replacementPayload: null };
    await decide(tx, { letterId: decision.id, verdict: "discard", ...none });
  });
};

const readOwn = async (sql: Sql, id: number): Promise<Letter> => {
  const letter = await readDeadLetter(sql, id);
  if (letter.handler === null) return letter;
  throw fault("not_found", `Dead letter ${id} is ${letter.handler}'s, not the relay's`);
};

type Tx = Parameters<Parameters<Sql["begin"]>[1]>[0];

type Closing = Decision & Readonly<{ state: LetterState; replacedBy: string | null }>;

/** Of two operators at once, one finds the letter open. */
const close = async (tx: Tx, { id, by, reason, state, replacedBy }: Closing): Promise<void> => {
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
};

type Verdict = Readonly<{
  letterId: number;
  verdict: string;
  replacementId: string | null;
  replacementPayload: Uint8Array | null;
}>;

const decide = async (tx: Tx, { letterId, ...verdict }: Verdict): Promise<void> => {
  const decided = await tx`
    update outrider.blocked
    set state = 'release', verdict = ${verdict.verdict}, replacement_id = ${verdict.replacementId},
      replacement_payload = ${verdict.replacementPayload}
    where letter_id = ${letterId} and state = 'on'`;
  if (decided.count !== 1) throw fault("conflict", `Dead letter ${letterId} blocks no key`);
  await tx`select pg_notify(${shardsChannel}, '')`;
};

const headerOf = (letter: Letter, name: string): string | undefined => {
  const value = letter.headers.find(([found]) => found === name)?.[1];
  return typeof value === "string" ? value : undefined;
};

const assertJson = (letter: Letter, { payload }: Edit): void => {
  if (headerOf(letter, "content-type") !== "application/json") return;
  try {
    JSON.parse(Buffer.from(payload).toString("utf8"));
  } catch (cause) {
    throw fault("invalid", "The edited payload is not JSON, which its content type says", {
      cause,
    });
  }
};

/** Its key has gone on without it, so it comes after what is there now: a raw row at the end. */
const insertAgain = async (tx: Tx, letter: Letter, edit: Edit | undefined): Promise<void> => {
  const headers = edit
    ? [
        ...letter.headers.filter(([name]) => name !== "ce_id"),
        ["ce_id", edit.eventId],
        ["ce_replaces", letter.eventId],
      ]
    : letter.headers;
  await tx`
    insert into outrider.outbox (event_id, topic, key, headers, payload)
    select ${edit?.eventId ?? letter.eventId}, topic, key, ${tx.json(headers as never)},
      ${edit?.payload ?? letter.payload}
    from outrider.dead_letters where id = ${letter.id}`;
};
