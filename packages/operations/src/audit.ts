/** Who has changed what. A change and its line here are one transaction. */

import type { Sql, TransactionSql } from "@outrider/postgres";
import type { Caller } from "./caller.ts";

export type Deed = Readonly<{
  caller: Caller;
  /** As the API names it: `redriveLetter`. */
  action: string;
  /** What it is done to: `dead-letters/7`. */
  target: string;
  /** What was asked for; never a payload or a key. */
  details: Readonly<Record<string, unknown>>;
  requestId: string;
}>;

export const recordDeed = async (tx: TransactionSql, deed: Deed): Promise<void> => {
  const { caller, action, target, details, requestId } = deed;
  await tx`
    insert into outrider.audit (actor, api_key, action, target, details, request_id)
    values (${caller.name}, ${caller.key}, ${action}, ${target},
      ${JSON.stringify(details)}::text::jsonb, ${requestId})`;
};

export type AuditEntry = Readonly<{
  id: number;
  at: Date;
  actor: string;
  /** Null: a command on the machine itself. */
  key: number | null;
  action: string;
  target: string;
  details: Readonly<Record<string, unknown>>;
  requestId: string;
}>;

export type AuditFilter = Readonly<{
  actor?: string | undefined;
  action?: string | undefined;
  target?: string | undefined;
  before?: number | undefined;
}>;

/** The newest first. */
export const listAudit = async (
  sql: Sql,
  { actor, action, target, before }: AuditFilter,
  limit: number,
): Promise<AuditEntry[]> => [
  ...(await sql<AuditEntry[]>`
    select id::float8, at, actor, api_key::float8 as key, action, target, details,
      request_id as "requestId"
    from outrider.audit entry
    where (${actor ?? null}::text is null or actor = ${actor ?? null})
      and (${action ?? null}::text is null or action = ${action ?? null})
      ${target === undefined ? sql`` : sql`and target = ${target}`}
      ${before === undefined ? sql`` : sql`and id < ${before}`}
    order by entry.id desc limit ${limit}`),
];
