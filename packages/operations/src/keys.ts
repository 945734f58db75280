/**
 * Keys of the operations API. A key is shown once, when it is made: `ork_`, its number, and 256
 * random bits; stored is the hash of those. They cannot be guessed, so a fast hash is as good as a
 * slow one.
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { fault } from "@outrider/event";
import type { Sql, TransactionSql } from "@outrider/postgres";
import { recordDeed } from "./audit.ts";
import type { Caller, Scope } from "./caller.ts";

export type ApiKey = Readonly<{
  id: number;
  name: string;
  scopes: readonly Scope[];
  createdAt: Date;
  createdBy: string;
  expiresAt: Date | null;
  /** To the minute; null: not yet. */
  usedAt: Date | null;
  revokedAt: Date | null;
  revokedBy: string | null;
}>;

export type NewKey = Readonly<{
  name: string;
  scopes: readonly Scope[];
  by: string;
  expiresAt?: Date | undefined;
}>;

const secretBytes = 32;
const form = /^ork_([1-9]\d{0,14})_([\w-]{43})$/;

/** The key itself is returned here and never again. Throws `conflict` when the name is taken. */
export const createKey = async (
  tx: TransactionSql,
  { name, scopes, by, expiresAt }: NewKey,
): Promise<Readonly<{ id: number; key: string }>> => {
  const secret = randomBytes(secretBytes).toString("base64url");
  const [row] = await tx<{ id: string }[]>`
    insert into outrider.api_keys (name, hash, scopes, created_by, expires_at)
    values (${name}, ${hashOf(secret)}, ${scopes}::text[], ${by}, ${expiresAt ?? null})
    on conflict (name) where revoked_at is null do nothing
    returning id`;
  if (!row) throw fault("conflict", `There is a key ${name} already; revoke it first`);
  return { id: Number(row.id), key: `ork_${row.id}_${secret}` };
};

/** Makes a key in place of the one with its name, where there is one. */
export const replaceKey = (
  sql: Sql,
  wanted: NewKey,
  requestId: string,
): Promise<Readonly<{ id: number; key: string }>> =>
  sql.begin(async (tx) => {
    const { name, scopes, by } = wanted;
    await tx`
      update outrider.api_keys set revoked_at = clock_timestamp(), revoked_by = ${by}
      where name = ${name} and revoked_at is null`;
    const made = await createKey(tx, wanted);
    const deed = { action: "replaceKey", target: `keys/${made.id}`, details: { name, scopes } };
    await recordDeed(tx, { caller: { name: by, key: null, scopes }, ...deed, requestId });
    return made;
  });

/** It is refused from the next request on. Throws `not_found`, or `conflict` when it is revoked. */
export const revokeKey = async (tx: TransactionSql, id: number, by: string): Promise<void> => {
  const revoked = await tx`
    update outrider.api_keys set revoked_at = clock_timestamp(), revoked_by = ${by}
    where id = ${id} and revoked_at is null`;
  if (revoked.count === 1) return;
  const [row] = await tx`select from outrider.api_keys where id = ${id}`;
  if (!row) throw fault("not_found", `There is no key ${id}`);
  throw fault("conflict", `Key ${id} is revoked already`);
};

export type KeyPage = Readonly<{ limit: number; before?: number | undefined }>;

/** The newest first, revoked ones included. */
export const listKeys = async (sql: Sql, { limit, before }: KeyPage): Promise<ApiKey[]> => [
  ...(await sql<ApiKey[]>`
    select id::float8, name, scopes, created_at as "createdAt", created_by as "createdBy",
      expires_at as "expiresAt", used_at as "usedAt", revoked_at as "revokedAt",
      revoked_by as "revokedBy"
    from outrider.api_keys ${before ? sql`where id < ${before}` : sql``}
    order by outrider.api_keys.id desc limit ${limit}`),
];

/** Undefined for what is no key, and for one that is revoked or has expired. */
export const findCaller = async (sql: Sql, key: string): Promise<Caller | undefined> => {
  const [, id, secret = ""] = form.exec(key) ?? [];
  if (id === undefined) return undefined;
  const [row] = await sql<KeyRow[]>`
    select name, hash, scopes,
      revoked_at is null and coalesce(expires_at > clock_timestamp(), true) as "isValid",
      coalesce(used_at < clock_timestamp() - interval '1 minute', true) as "isNews"
    from outrider.api_keys where id = ${id}`;
  // Compared in any case, and in a time that does not say where they differ.
  const isSame = timingSafeEqual(row?.hash ?? nothing, hashOf(secret));
  if (!row || !isSame || !row.isValid) return undefined;
  if (row.isNews) await noteUse(sql, id);
  return { name: row.name, key: Number(id), scopes: row.scopes };
};

/** Of all keys that work now, as `fingerprintOf` says them. */
export const readFingerprints = async (sql: Sql): Promise<ReadonlySet<string>> => {
  const rows = await sql<{ hash: Buffer }[]>`
    select hash from outrider.api_keys
    where revoked_at is null and coalesce(expires_at > clock_timestamp(), true)`;
  return new Set(rows.map(({ hash }) => hash.toString("base64")));
};

/** Of the key's secret part; undefined for what has not the form of a key. */
export const fingerprintOf = (key: string): string | undefined => {
  const [, , secret] = form.exec(key) ?? [];
  return secret === undefined ? undefined : hashOf(secret).toString("base64");
};

/** One of those who come at the same time does it, and no request waits or fails for it. */
const noteUse = async (sql: Sql, id: string): Promise<void> => {
  const noted = sql`
    update outrider.api_keys set used_at = clock_timestamp()
    where id = (
      select id from outrider.api_keys
      where id = ${id} and coalesce(used_at < clock_timestamp() - interval '1 minute', true)
      for no key update skip locked)`;
  await noted.catch(() => {});
};

type KeyRow = Readonly<{
  name: string;
  hash: Buffer;
  scopes: Scope[];
  isValid: boolean;
  isNews: boolean;
}>;

const hashOf = (secret: string): Buffer => createHash("sha256").update(secret).digest();

const nothing = Buffer.alloc(32);
