/** `outrider keys ...` and `outrider audit`: who may use the operations API, and who did what. */

import { printable } from "@outrider/health";
import type { ApiKey, AuditEntry, Scope } from "@outrider/operations";
import { showList } from "./list.ts";
import type { Listing } from "./list.ts";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { Json, Operations, Who } from "./operations.ts";
import { ago, textTable, whenOf } from "./text-table.ts";

export type NewKeyOptions = Who &
  Readonly<{ name: string; scopes: Scope[]; expiresInMs?: number; json: boolean }>;

/** The key alone goes to standard output, so that a script can keep it. */
export const keysCreate = (context: Context, options: NewKeyOptions): Promise<number> => {
  const { name, scopes, expiresInMs, json } = options;
  const expiresAt =
    expiresInMs === undefined
      ? {}
      : { expiresAt: new Date(Date.now() + expiresInMs).toISOString() };
  const act = async ({ client }: Operations): Promise<number> => {
    const made = await bodyOf(client.keys.$post({ json: { name, scopes, ...expiresAt } }));
    context.report.say(json ? JSON.stringify(made) : made.key);
    return 0;
  };
  return withOperations(context, act, options);
};

export const keysRevoke = (
  context: Context,
  { id, ...who }: Readonly<{ id: number; by?: string }>,
): Promise<number> => {
  const act = async ({ client }: Operations): Promise<number> => {
    await bodyOf(client.keys[":id"].revoke.$post({ param: { id: String(id) } }));
    context.report.say(`key ${id} is revoked`);
    return 0;
  };
  return withOperations(context, act, who);
};

export const keysList = (context: Context, listing: Listing): Promise<number> =>
  showList(context, listing, {
    ask: (client, page) => client.keys.$get({ query: page }),
    describe: describeKeys,
  });

const describeKeys = (keys: readonly Json<ApiKey>[], nowMs: number): string => {
  if (keys.length === 0) return "no keys";
  return textTable(
    ["key", "name", "state", "scopes", "made", "by", "used", "expires"],
    keys.map((one) => [
      one.id,
      printable(one.name, 40),
      stateOf(one, nowMs),
      one.scopes.join(" "),
      ago(one.createdAt, nowMs),
      printable(one.createdBy, 30),
      one.usedAt === null ? "never" : ago(one.usedAt, nowMs),
      one.expiresAt === null ? "never" : whenOf(one.expiresAt, nowMs),
    ]),
  );
};

const stateOf = ({ revokedAt, revokedBy, expiresAt }: Json<ApiKey>, nowMs: number): string => {
  if (revokedAt !== null) return `revoked by ${printable(revokedBy ?? "-", 30)}`;
  return expiresAt !== null && Date.parse(expiresAt) <= nowMs ? "expired" : "valid";
};

export type AuditQuery = Readonly<{ actor?: string; action?: string; target?: string }>;

export const auditList = (
  context: Context,
  { query, ...listing }: Listing & Readonly<{ query: AuditQuery }>,
): Promise<number> =>
  showList(context, listing, {
    ask: (client, page) => client.audit.$get({ query: { ...query, ...page } }),
    describe: describeAudit,
  });

const describeAudit = (entries: readonly Json<AuditEntry>[]): string => {
  if (entries.length === 0) return "nothing was changed";
  return textTable(
    ["at", "by", "key", "did", "to", "details"],
    entries.map((one) => [
      one.at,
      printable(one.actor, 40),
      one.key === null ? "-" : String(one.key),
      one.action,
      printable(one.target, 60),
      printable(JSON.stringify(one.details), 200),
    ]),
  );
};
