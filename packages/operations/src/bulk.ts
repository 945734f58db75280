/**
 * A decision about many parked keys or dead letters. It is a row, carried out in steps, each one
 * transaction that also moves the row on: whoever ends amid it leaves nothing half done, another
 * process goes on exactly there, and several that work on the same one take turns.
 */

import { fault } from "@outrider/event";
import { asFault } from "@outrider/http";
import { postponeHead, runNow } from "@outrider/inbox";
import type { WriteRecord } from "@outrider/inbox";
import { discardLetter, matches } from "@outrider/redrive";
import type { LetterFilter } from "@outrider/redrive";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { buryFor } from "./bury.ts";
import type { Scope } from "./caller.ts";
import { matchesParked } from "./parked.ts";
import type { ParkedFilter } from "./parked.ts";

export type BulkDetails = Readonly<{
  /** Of postponing, an ISO time. */
  until?: string | undefined;
  /** Of burying: what becomes of the events behind. */
  behind?: "hold" | "skip" | undefined;
}>;

type Target = Readonly<{ id: number; operation: BulkOperation; writeRecord: WriteRecord }>;

type BulkAction = Readonly<{
  of: "parked" | "dead-letters";
  scope: Scope;
  act(tx: TransactionSql, target: Target): Promise<void>;
}>;

export const bulkActions = {
  "run-parked": { of: "parked", scope: "parked:write", act: (tx, { id }) => runNow(tx, id) },
  "postpone-parked": {
    of: "parked",
    scope: "parked:write",
    act: (tx, { id, operation }) => postponeHead(tx, id, new Date(operation.details.until ?? 0)),
  },
  "bury-parked": {
    of: "parked",
    scope: "parked:write",
    act: (tx, { id, operation: { by, reason, details }, writeRecord }) =>
      buryFor(tx, { id, by, reason, behind: details.behind ?? "hold", writeRecord }),
  },
  "discard-letters": {
    of: "dead-letters",
    scope: "dead-letters:redrive",
    act: (tx, { id, operation: { by, reason } }) => discardLetter(tx, { id, by, reason }),
  },
} as const satisfies Readonly<Record<string, BulkAction>>;

export type BulkName = keyof typeof bulkActions;

export type BulkOperation = Readonly<{
  id: number;
  state: "running" | "done" | "cancelled";
  action: BulkName;
  filter: ParkedFilter | LetterFilter;
  details: BulkDetails;
  by: string;
  reason: string;
  /** Those that were meant when it was made. */
  total: number;
  done: number;
  /** Things had changed before their turn came. */
  refused: number;
  /** Of the last one that was refused. */
  message: string | null;
  createdAt: Date;
  changedAt: Date;
}>;

export type NewBulk = Readonly<{
  action: BulkName;
  filter: ParkedFilter | LetterFilter;
  details: BulkDetails;
  by: string;
  reason: string;
}>;

/** Throws `not_found` when nothing matches. */
export const createBulk = async (
  tx: TransactionSql,
  { action, filter, details, by, reason }: NewBulk,
): Promise<number> => {
  const [meant] = await tx<{ total: number; idMax: string | null }[]>`
    select count(*)::int as total, max(id) as "idMax" from ${targets(tx, action, filter)}`;
  if (!meant?.idMax) throw fault("not_found", "Nothing matches");
  const [made] = await tx<{ id: string }[]>`
    insert into outrider.operations (action, filter, details, by, reason, id_max, total)
    values (${action}, ${JSON.stringify(filter)}::text::jsonb,
      ${JSON.stringify(details)}::text::jsonb, ${by}, ${reason}, ${meant.idMax}, ${meant.total})
    returning id`;
  if (!made) throw new Error("no row");
  return Number(made.id);
};

/** Everything that an action would be applied to, as `meant`. */
const targets = (tx: TransactionSql, action: BulkName, filter: ParkedFilter | LetterFilter) =>
  bulkActions[action].of === "parked"
    ? tx`(
        select h.id, h.handler, h.topic, h.key from outrider.parked_heads h
        where ${matchesParked(tx, filter as ParkedFilter)}) as meant`
    : tx`(
        select letter.id, letter.handler, letter.topic, letter.key
        from outrider.dead_letters letter
        where ${matches(tx, { ...(filter as LetterFilter), state: "open" })}) as meant`;

/** Of one transaction. */
const stepMax = 50;

type Progress = BulkOperation & Readonly<{ position: string; idMax: string }>;

/** One batch. False: it is over, or somebody else is at it right now. */
export const stepBulk = (sql: Sql, id: number, writeRecord: WriteRecord): Promise<boolean> =>
  sql.begin(async (tx) => {
    const [operation] = await tx<Progress[]>`
      select ${columns(tx)}, position, id_max as "idMax" from outrider.operations
      where id = ${id} and state = 'running' for update skip locked`;
    if (!operation) return false;
    const { action, filter } = operation;
    const batch = await tx<{ id: string }[]>`
      select id from (
        select id, handler, topic, key from ${targets(tx, action, filter)}
        where id > ${operation.position} and id <= ${operation.idMax}
        order by id limit ${stepMax}
      ) as batch order by handler, topic, key, id`;
    const refusals: string[] = [];
    for (const one of batch) {
      const target = { id: Number(one.id), operation, writeRecord };
      const refusal = await tryOne(tx, target);
      if (refusal !== undefined) refusals.push(refusal);
    }
    const last = batch.reduce((max, one) => (BigInt(one.id) > max ? BigInt(one.id) : max), 0n);
    await tx`
      update outrider.operations
      set position = greatest(position, ${String(last)}::bigint),
        state = ${batch.length < stepMax ? "done" : "running"},
        done = done + ${batch.length - refusals.length}, refused = refused + ${refusals.length},
        message = coalesce(${refusals.at(-1) ?? null}, message), changed_at = clock_timestamp()
      where id = ${id}`;
    return batch.length === stepMax;
  }) as Promise<boolean>;

/**
 * Why it was refused. What passes is thrown, and nothing of the step stays: it is done again. What
 * would fail again and again is refused, too, so that the others have their turn.
 */
const tryOne = async (tx: TransactionSql, target: Target): Promise<string | undefined> => {
  const { act } = bulkActions[target.operation.action];
  try {
    await tx.savepoint((inner) => act(inner, target));
    return undefined;
  } catch (error) {
    const { code, message, cause } = asFault(error);
    if (code === "unavailable" || code === "timeout") throw error;
    if (code !== "internal") return message;
    return `It has failed: ${cause instanceof Error ? cause.name : message}`;
  }
};

const columns = (sql: Sql | TransactionSql) => sql`
  id::float8, state, action, filter, details, by, reason, total, done, refused, message,
  created_at as "createdAt", changed_at as "changedAt"`;

export type BulkPage = Readonly<{
  limit: number;
  before?: number | undefined;
  state?: BulkOperation["state"] | undefined;
}>;

/** The newest first. */
export const listBulk = async (
  sql: Sql,
  { limit, before, state }: BulkPage,
): Promise<BulkOperation[]> => [
  ...(await sql<BulkOperation[]>`
    select ${columns(sql)} from outrider.operations made
    where (${state ?? null}::text is null or state = ${state ?? null})
      ${before === undefined ? sql`` : sql`and made.id < ${before}`}
    order by made.id desc limit ${limit}`),
];

/** Throws `not_found`. */
export const readBulk = async (sql: Sql, id: number): Promise<BulkOperation> => {
  const [found] = await sql<BulkOperation[]>`
    select ${columns(sql)} from outrider.operations where id = ${id}`;
  if (!found) throw fault("not_found", `There is no operation ${id}`);
  return found;
};

/** What is done stays so. Throws `not_found`, or `conflict` when it is over. */
export const cancelBulk = async (tx: TransactionSql, id: number): Promise<void> => {
  const [row] = await tx<{ state: string }[]>`
    select state from outrider.operations where id = ${id} for update`;
  if (!row) throw fault("not_found", `There is no operation ${id}`);
  if (row.state !== "running") throw fault("conflict", `Operation ${id} is ${row.state}`);
  await tx`
    update outrider.operations set state = 'cancelled', changed_at = clock_timestamp()
    where id = ${id}`;
};
