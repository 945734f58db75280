/**
 * Redriving many letters as one operation, which anybody can watch, pause and resume. Its letters
 * and their order are fixed when it is made; how far it is stands beside each decision, in the same
 * transaction, so a process that ends amid it leaves nothing half done and nothing to do twice.
 */

import { fault } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { matches } from "./filter.ts";
import type { LetterFilter } from "./filter.ts";
import type { Page } from "./letters.ts";

export type RedriveState = "running" | "paused" | "done" | "cancelled";

export type RedriveOptions = Readonly<{
  by: string;
  reason: string;
  /** Most letters of a second. */
  ratePerS?: number | undefined;
  /**
   * So many are redriven first, each the first of its key; the others when all of these have been
   * handled. 0: none.
   */
  canary?: number | undefined;
  /** It pauses when so many events have been given up again. */
  failuresMax?: number | undefined;
}>;

export const redriveDefaults = { ratePerS: 50, canary: 1, failuresMax: 5 } as const;

/** Letters a second: at the least one in 1000 s, so that the next one has a time that there is. */
export const redriveRate = { minPerS: 0.001, maxPerS: 100_000 } as const;

export type RedriveSummary = Readonly<{
  id: number;
  /** `done`: all letters are decided; their events may still be waiting for a handler. */
  state: RedriveState;
  filter: LetterFilter;
  by: string;
  reason: string;
  ratePerS: number;
  canary: number;
  failuresMax: number;
  total: number;
  /** Why it is in its state, and who changed it; null: itself. */
  message: string | null;
  changedBy: string | null;
  createdAt: Date;
  changedAt: Date;
}>;

export type Redrive = RedriveSummary &
  Readonly<{
    waiting: number;
    /** Somebody else had decided before. */
    refused: number;
    /** Decided, and by now: */
    redriven: number;
    /** handled or published, */
    handled: number;
    /** under way, */
    pending: number;
    /** or given up again. */
    failed: number;
  }>;

/**
 * The open letters that match, as an operation that runs at once; somebody has to drive it. Throws
 * `not_found` when there are none, and `invalid`.
 */
export const createRedrive = async (
  tx: TransactionSql,
  filter: LetterFilter,
  options: RedriveOptions,
): Promise<number> => {
  const { by, reason } = options;
  const { ratePerS, canary, failuresMax } = { ...redriveDefaults, ...defined(options) };
  const { minPerS, maxPerS } = redriveRate;
  if (!(ratePerS >= minPerS && ratePerS <= maxPerS)) {
    throw fault(
      "invalid",
      `The rate of a redrive is from ${minPerS} to ${maxPerS} letters a second`,
    );
  }
  if (failuresMax < 1) throw fault("invalid", "A redrive stops after one failure at least");
  const [made] = await tx<{ id: string }[]>`
    insert into outrider.redrives
      (filter, by, reason, rate_per_s, canary, failures_max, total, is_proven)
    values (${JSON.stringify(filter)}::text::jsonb, ${by}, ${reason}, ${ratePerS}, ${canary},
      ${failuresMax}, 0, ${canary === 0})
    returning id`;
  if (!made) throw new Error("no row");
  // The first ones of all keys come first, so every canary has a key of its own.
  const items = await tx`
    insert into outrider.redrive_items (redrive, position, letter)
    select ${made.id}, row_number() over (
        order by of_key, topic, partition, "offset", id), id
    from (
      select letter.id, letter.topic, letter.partition, letter."offset", row_number() over (
          partition by letter.handler, letter.topic, letter.key
          order by letter.partition, letter."offset", letter.id) as of_key
      from outrider.dead_letters letter
      where ${matches(tx, { ...filter, state: "open" })}
    ) as chosen`;
  if (items.count === 0) throw fault("not_found", "No open dead letter matches");
  await tx`update outrider.redrives set total = ${items.count} where id = ${made.id}`;
  return Number(made.id);
};

const defined = <T extends object>(options: T) =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };

type Row = Omit<RedriveSummary, "id"> & { id: string };

const columns = (sql: Sql | TransactionSql) => sql`
  r.id, r.state, r.filter, r.by, r.reason, r.rate_per_s as "ratePerS", r.canary,
  r.failures_max as "failuresMax", r.total, r.message, r.changed_by as "changedBy",
  r.created_at as "createdAt", r.changed_at as "changedAt"`;

export type RedrivePage = Page & Readonly<{ state?: RedriveState | undefined }>;

/** The newest first. */
export const listRedrives = async (
  sql: Sql | TransactionSql,
  { limit, before, state }: RedrivePage,
): Promise<RedriveSummary[]> => {
  const rows = await sql<Row[]>`
    select ${columns(sql)} from outrider.redrives r
    where ${before === undefined ? sql`true` : sql`r.id < ${before}`}
      and ${state === undefined ? sql`true` : sql`r.state = ${state}`}
    order by r.id desc limit ${limit}`;
  return rows.map((row) => ({ ...row, id: Number(row.id) }));
};

type Counted = Outcomes & Readonly<{ waiting: number; refused: number; redriven: number }>;

/** Throws `not_found`. One statement, so that the numbers are of one moment. */
export const readRedrive = async (sql: Sql | TransactionSql, id: number): Promise<Redrive> => {
  const [row] = await sql<(Row & Counted)[]>`
    select ${columns(sql)}, counted.*, outcomes.* from outrider.redrives r
    cross join lateral (
      select count(*) filter (where item.state = 'waiting')::int as waiting,
        count(*) filter (where item.state = 'refused')::int as refused,
        count(*) filter (where item.state = 'redriven')::int as redriven
      from outrider.redrive_items item where item.redrive = r.id
    ) as counted
    cross join lateral (${outcomesOf(sql, id)}) as outcomes
    where r.id = ${id}`;
  if (!row) throw fault("not_found", `There is no redrive ${id}`);
  const { redriven, failed, pending } = row;
  return { ...row, id, handled: redriven - failed - pending };
};

export type Outcomes = Readonly<{ failed: number; pending: number }>;

/** Of what has been redriven, up to a position: given up again, and still under way. */
export const readOutcomes = async (
  sql: Sql | TransactionSql,
  id: number,
  positionMax?: number,
): Promise<Outcomes> => {
  const [counted] = await sql<Outcomes[]>`${outcomesOf(sql, id, positionMax)}`;
  return counted ?? { failed: 0, pending: 0 };
};

const outcomesOf = (sql: Sql | TransactionSql, id: number, positionMax = 2 ** 31 - 1) => sql`
  select count(*) filter (where letter.state = 'open')::int as failed,
    count(*) filter (where letter.state = 'redriven' and (
      exists (
        select from outrider.parked p
        where p.handler = letter.handler and p.event_id = letter.event_id)
      or letter.origin = 'relay' and (
        exists (select from outrider.blocked b where b.letter_id = letter.id)
        or exists (select from outrider.outbox o
          where letter.skipped and o.event_id = letter.event_id))
    ))::int as pending
  from outrider.redrive_items item
  join outrider.dead_letters letter on letter.id = item.letter
  where item.redrive = ${id} and item.state = 'redriven' and item.position <= ${positionMax}`;

export type Change = Readonly<{ by: string; message?: string | undefined }>;

/** Throws `not_found`, or `conflict` when it is not running. */
export const pauseRedrive = (tx: TransactionSql, id: number, change: Change): Promise<void> =>
  changeState(tx, id, { ...change, from: ["running"], to: "paused" });

/** Goes on, whatever has failed so far. Throws `not_found`, or `conflict` when it is not paused. */
export const resumeRedrive = (tx: TransactionSql, id: number, change: Change): Promise<void> =>
  changeState(tx, id, { ...change, from: ["paused"], to: "running" });

/** What is redriven stays so. Throws `not_found`, or `conflict` when it is over. */
export const cancelRedrive = (tx: TransactionSql, id: number, change: Change): Promise<void> =>
  changeState(tx, id, { ...change, from: ["running", "paused"], to: "cancelled" });

type Transition = Change & Readonly<{ from: readonly RedriveState[]; to: RedriveState }>;

const changeState = async (
  tx: TransactionSql,
  id: number,
  transition: Transition,
): Promise<void> => {
  const { from, to, by, message = null } = transition;
  const [row] = await tx<{ state: RedriveState }[]>`
    select state from outrider.redrives where id = ${id} for update`;
  if (!row) throw fault("not_found", `There is no redrive ${id}`);
  if (!from.includes(row.state)) throw fault("conflict", `Redrive ${id} is ${row.state}`);
  const { failed } = to === "running" ? await readOutcomes(tx, id) : { failed: 0 };
  await tx`
    update outrider.redrives
    set state = ${to}, message = ${message}, changed_by = ${by},
      changed_at = clock_timestamp(), next_at = clock_timestamp(),
      is_proven = is_proven or ${to === "running"},
      forgiven = case when ${to === "running"} then ${failed} else forgiven end
    where id = ${id}`;
};
