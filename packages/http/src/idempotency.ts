/**
 * Requests that are safe to repeat: draft-ietf-httpapi-idempotency-key-header. The answer is
 * stored in the transaction that the request is carried out in, so either both are there or
 * neither. Only 2xx answers are stored: after a failure, the same key may try again.
 */

import { fault } from "@outrider/event";
import { rawSql } from "@outrider/postgres";
import type { Database, Transaction } from "@outrider/postgres";
import type { Context } from "hono";
import { routePath } from "hono/route";

export type IdempotentRequest = Readonly<{
  /** Method, resource and caller: the same key means something else elsewhere. */
  scope: string;
  key: string;
  /** SHA-256 of the body's bytes. */
  fingerprint: Uint8Array;
}>;

/** An answer that can be stored: what matters of it, as text. */
export type Answer = Readonly<{
  status: number;
  headers: Readonly<Record<string, string>>;
  body: string;
}>;

/** Visible ASCII without the quotes; the draft's own form is a quoted string, both are taken. */
export const legalKey = /^(?:"([!#-[\]-~]{1,255})"|([!#-[\]-~]{1,255}))$/;

export type Resource = Readonly<{
  /** Of the route's pattern, decoded and in the one way in which they are written. */
  params?: Readonly<Record<string, string>> | undefined;
  caller?: string;
}>;

/** The request's key and what it stands for; nothing when it has none. Throws `malformed`. */
export const idempotentRequest = async (
  c: Context,
  { params = {}, caller = "anonymous" }: Resource = {},
): Promise<IdempotentRequest | undefined> => {
  const header = c.req.header("idempotency-key");
  if (header === undefined) return undefined;
  const match = legalKey.exec(header);
  const key = match?.[1] ?? match?.[2];
  if (key === undefined) {
    throw fault("malformed", "Idempotency-Key must be 1 to 255 visible ASCII characters");
  }
  const body = await c.req.arrayBuffer();
  return {
    scope: `${c.req.method} ${pathOf(routePath(c), params)} ${caller}`,
    key,
    fingerprint: new Uint8Array(await crypto.subtle.digest("SHA-256", body)),
  };
};

/**
 * One resource has one path here, however a caller writes it: `%61` for `a`, or capitals in an id.
 * Encoded, so that no two resources have the same. Throws for a parameter that is not given.
 */
const pathOf = (pattern: string, params: Readonly<Record<string, string>>): string =>
  pattern.replaceAll(/:(\w+)/g, (_, name: string) => {
    const value = params[name];
    if (value === undefined) throw new Error(`${pattern}: ${name} is not given`);
    return encodeURIComponent(value);
  });

/**
 * Runs `act` and stores its answer, or gives the stored answer of the first time. Throws
 * `idempotency_key_in_use` while another transaction works on the same key, and
 * `idempotency_key_reused` when the key was used with another body.
 */
export const answerOnce = async (
  tx: Transaction,
  request: IdempotentRequest | undefined,
  act: () => Promise<Answer>,
): Promise<Answer> => {
  if (!request) return act();
  await lockKey(tx, request);
  const stored = await findAnswer(tx, request);
  if (stored) return stored;
  const answer = await act();
  if (answer.status >= 200 && answer.status < 300) await storeAnswer(tx, request, answer);
  return answer;
};

export const responseOf = ({ status, headers, body }: Answer): Response =>
  new Response(body, { status, headers });

/** A 64-bit hash: two different keys that meet only make one of them wait for its turn. */
const lockKey = async (tx: Transaction, { scope, key }: IdempotentRequest): Promise<void> => {
  const [row] = await rawSql(tx)<{ locked: boolean }[]>`
    select pg_try_advisory_xact_lock(hashtextextended(${`${scope} ${key}`}, 0)) as locked`;
  if (row?.locked) return;
  throw fault("idempotency_key_in_use", "A request with this Idempotency-Key is still running", {
    retryAfterMs: 1000,
  });
};

/** A statement of its own: the lock's snapshot is from before the lock was free. */
const findAnswer = async (
  tx: Transaction,
  { scope, key, fingerprint }: IdempotentRequest,
): Promise<Answer | undefined> => {
  const [row] = await rawSql(tx)<(Answer & { same: boolean })[]>`
    select status, headers, body, fingerprint = ${fingerprint} as same
    from outrider.idempotency_keys where scope = ${scope} and key = ${key}`;
  if (!row) return undefined;
  if (row.same) return { status: row.status, headers: row.headers, body: row.body };
  throw fault("idempotency_key_reused", "This Idempotency-Key was used with another body");
};

const storeAnswer = async (
  tx: Transaction,
  { scope, key, fingerprint }: IdempotentRequest,
  { status, headers, body }: Answer,
): Promise<void> => {
  // As text: drizzle has taken the client's own way with jsonb away.
  const headersText = JSON.stringify(headers);
  await rawSql(tx)`
    insert into outrider.idempotency_keys (scope, key, fingerprint, status, headers, body)
    values (${scope}, ${key}, ${fingerprint}, ${status}, ${headersText}::text::jsonb, ${body})`;
};

export type Expiry = Readonly<{ ageMs: number; batchMax?: number }>;

/** Removes the keys that are older, in short statements; how many there were. */
export const removeExpiredKeys = async (
  db: Database,
  { ageMs, batchMax = 10_000 }: Expiry,
): Promise<number> => {
  let count = 0;
  for (let batch = batchMax; batch === batchMax; count += batch) {
    const removed = await db.$client`
      delete from outrider.idempotency_keys where ctid = any (array(
        select ctid from outrider.idempotency_keys
        where created_at < clock_timestamp() - ${ageMs} * interval '1 millisecond'
        limit ${batchMax}
      ))`;
    batch = removed.count;
  }
  return count;
};
