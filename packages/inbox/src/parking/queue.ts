/**
 * The queue of a key whose event failed: a head per (handler, topic, key), and the records that
 * wait behind it in the order of the log. Postgres is the truth about it.
 * Lock order of every transaction: new inbox rows sorted by id, heads, existing inbox rows, queue
 * rows, dead letters. READ COMMITTED, and separate statements where one has to see what another
 * transaction did while it was waited for.
 */

import type { KafkaRecord } from "@outrider/event";
import { pairsOf } from "@outrider/postgres";
import type { Sql, TransactionSql } from "@outrider/postgres";
import type { Classified } from "../classify.ts";
import { columns, rowOf } from "./parked-row.ts";
import type { ParkedRow, StoredRow } from "./parked-row.ts";

/** A record that a handler has not handled, under the id that the inbox knows it by. */
export type Waiting = Readonly<{ eventId: string; record: KafkaRecord }>;

export type QueueKey = Readonly<{ handler: string; topic: string; key: Uint8Array }>;

/** Records without a key are keys of their own. */
export const keyOf = ({ eventId, record }: Waiting): Uint8Array =>
  record.key ?? Buffer.from(eventId);

/** Keys as they are told apart. */
export const keyName = (key: Uint8Array): string => Buffer.from(key).toString("hex");

/** Those of the keys that have a head, by name. Asked after the inbox rows are inserted. */
export const readBlocked = async (
  tx: TransactionSql,
  { handler, topic }: Omit<QueueKey, "key">,
  keys: readonly Uint8Array[],
): Promise<Set<string>> => {
  const rows = await tx<{ key: string }[]>`
    select encode(h.key, 'hex') as key
    from unnest(${keys.map(keyName)}::text[]) as asked (key)
    join outrider.parked_heads h
      on h.handler = ${handler} and h.topic = ${topic}
        and sha256(h.key) = sha256(decode(asked.key, 'hex'))`;
  return new Set(rows.map((row) => row.key));
};

/** The head of a key, locked against its removal; undefined when the key is free. */
export const holdHead = async (
  tx: TransactionSql,
  { handler, topic, key }: QueueKey,
): Promise<string | undefined> => {
  const [row] = await tx<{ id: string }[]>`
    select id from outrider.parked_heads
    where handler = ${handler} and topic = ${topic} and sha256(key) = sha256(${key as Buffer})
    for share`;
  return row?.id;
};

/** Locks the head of a key, or makes one that is due in `delayMs`; null: when somebody decides. */
export const takeHead = async (
  tx: TransactionSql,
  { handler, topic, key }: QueueKey,
  delayMs: number | null,
): Promise<string> => {
  const [row] = await tx<{ id: string }[]>`
    insert into outrider.parked_heads as h (handler, topic, key, due_at)
    values (${handler}, ${topic}, ${key as Buffer},
      coalesce(clock_timestamp() + ${delayMs}::float8 * interval '1 ms', 'infinity'))
    on conflict (handler, topic, sha256(key)) do update set handler = excluded.handler
    returning id`;
  if (!row) throw new Error("no row");
  return row.id;
};

/** How a row enters the queue. */
export type Entry = Readonly<{
  state: "due" | "dead";
  attempt: number;
  /** Runs of it alone that have failed, whether they count or not. */
  runs?: number;
  /** Workers that may have ended of it. */
  lost?: number;
  delayMs: number;
  failure?: Classified;
}>;

/** JSON goes as text: drizzle's client passes what it is given for JSON on as it is. */
export const enqueue = async (
  tx: TransactionSql,
  { head, handler }: Readonly<{ head: string; handler: string }>,
  {
    waiting,
    state,
    attempt,
    runs = 0,
    lost = 0,
    delayMs,
    failure,
  }: Entry & Readonly<{ waiting: readonly Waiting[] }>,
): Promise<void> => {
  const insert = ({ eventId, record }: Waiting) => tx`
    insert into outrider.parked
      (head, handler, event_id, partition, "offset", timestamp_ms, record_key, headers, value,
        state, attempt, runs, lost, due_at, code, message)
    values (${head}, ${handler}, ${eventId}, ${record.partition}, ${record.offset},
      ${record.timestampMs}, ${record.key as Buffer | null},
      ${JSON.stringify(pairsOf(record.headers))}::text::jsonb, ${record.value as Buffer | null},
      ${state}, ${attempt}, ${runs}, ${lost},
      clock_timestamp() + ${delayMs}::float8 * interval '1 ms',
      ${failure?.code ?? null}, ${failure?.message ?? null})`;
  // Sent one behind the other, without waiting for each answer.
  await Promise.all(waiting.map(insert));
};

/** Events whose inbox rows have just been inserted wait behind a head that was there. */
export const enqueueBehind = async (
  tx: TransactionSql,
  queue: Readonly<{ head: string; handler: string }>,
  waiting: readonly Waiting[],
): Promise<void> => {
  const ids = waiting.map((one) => one.eventId);
  await tx`
    update outrider.inbox set state = 'parked'
    where handler = ${queue.handler} and event_id = any(${ids}::uuid[])`;
  await enqueue(tx, queue, { waiting, state: "due", attempt: 0, delayMs: 0 });
};

/** The front of a queue that a runner has claimed. */
export type Claim = Readonly<{
  head: string;
  token: string;
  handler: string;
  topic: string;
  rows: readonly ParkedRow[];
}>;

export type ClaimOptions = Readonly<{
  claimMs: number;
  headsMax: number;
  /** Heads whose claim may have run out, but whose runner knows that it is alive. */
  except?: readonly string[];
  /** Handlers that run one event at a time. */
  singly?: readonly string[];
  /** Most events of a head. */
  rowsMax?: number;
}>;

type ClaimedHead = { id: string; token: string; handler: string; topic: string; batch_max: number };

/**
 * Claims heads that are due, and the rows that are to be run now: the first one, and behind it
 * those that have not failed yet. Committed before anything runs: a claim that is not heard of
 * again says that its process has ended, which its rows remember as `lost`.
 */
export const claimDue = async (
  tx: TransactionSql,
  handlers: readonly string[],
  { claimMs, headsMax, except = [], singly = [], rowsMax = batchRowsMax }: ClaimOptions,
): Promise<Claim[]> => {
  const heads = await tx<ClaimedHead[]>`
    update outrider.parked_heads h
    set token = gen_random_uuid(),
      claimed_until = clock_timestamp() + ${claimMs} * interval '1 ms'
    where id in (
      select id from outrider.parked_heads
      where handler = any(${handlers}::text[]) and not fresh and due_at <= clock_timestamp()
        and (claimed_until is null or claimed_until < clock_timestamp())
        and id <> all(${except}::bigint[])
      order by due_at limit ${headsMax}
      for update skip locked
    )
    returning id, token, handler, topic,
      case when handler = any(${singly}::text[]) then 1
        else least(batch_max, ${rowsMax}) end as batch_max`;
  return heads.length === 0 ? [] : claimRows(tx, heads);
};

/** The rows of claimed heads that are to be run now; heads without any are settled. */
const claimRows = async (tx: TransactionSql, heads: readonly ClaimedHead[]): Promise<Claim[]> => {
  const ids = heads.map((head) => head.id);
  await countLost(tx, ids);
  const rows = await tx<(StoredRow & { head: string })[]>`
    select p.* from unnest(
      ${ids}::bigint[], ${heads.map((head) => head.batch_max)}::int[],
      ${heads.map((head) => head.topic)}::text[]
    ) as claimed (id, batch_max, topic)
    cross join lateral (
      select p.head, claimed.topic, ${columns(tx)} from outrider.parked p where p.head = claimed.id
      order by p.partition, p."offset" limit claimed.batch_max
    ) p
    order by p.head, p.partition, p."offset"`;
  const byHead = Map.groupBy(rows, (row) => row.head);
  const claims = heads.map(({ id, token, handler, topic }) => {
    const chosen = frontOf(byHead.get(id) ?? []).map(rowOf);
    return { head: id, token, handler, topic, rows: chosen };
  });
  for (const { head, rows: chosen } of claims) if (chosen.length === 0) await settleHead(tx, head);
  const claimed = claims.flatMap(({ head, token, rows: chosen }) =>
    chosen.map(({ eventId }) => ({ head, token, eventId })),
  );
  await tx`
    update outrider.parked p set token = claimed.token
    from unnest(
      ${claimed.map((one) => one.head)}::bigint[], ${claimed.map((one) => one.eventId)}::uuid[],
      ${claimed.map((one) => one.token)}::uuid[]
    ) as claimed (head, event_id, token)
    where p.head = claimed.head and p.event_id = claimed.event_id`;
  return claims.filter((claim) => claim.rows.length > 0);
};

/** Claims that another process has made; those that are over are left out. */
export const readClaims = async (
  sql: Sql,
  claims: readonly Pick<Claim, "head" | "token">[],
): Promise<Claim[]> => {
  const rows = await sql<(StoredRow & Pick<Claim, "head" | "token" | "handler">)[]>`
    select h.id as head, h.token, h.handler, h.topic, ${columns(sql)}
    from unnest(
      ${claims.map((claim) => claim.head)}::bigint[], ${claims.map((claim) => claim.token)}::uuid[]
    ) as claimed (id, token)
    join outrider.parked_heads h on h.id = claimed.id and h.token = claimed.token
    join outrider.parked p on p.head = h.id and p.token = h.token
    order by h.id, p.partition, p."offset"`;
  return [...Map.groupBy(rows, (row) => row.head).values()].flatMap((ofHead) =>
    ofHead.slice(0, 1).map(({ head, token, handler, topic }) => {
      return { head, token, handler, topic, rows: ofHead.map(rowOf) };
    }),
  );
};

/** Under the heads' locks: what claims that have run out held, their processes may have died of. */
export const countLost = async (tx: TransactionSql, heads: readonly string[]): Promise<void> => {
  await tx`
    update outrider.parked set lost = lost + 1, token = null
    where head = any(${heads}::bigint[]) and token is not null`;
};

/** What may run together; nothing when the first one is dead or not due yet. */
const frontOf = (rows: readonly StoredRow[]): readonly StoredRow[] => {
  const [first, ...rest] = rows;
  if (!first || first.state === "dead" || !first.is_due) return [];
  // What has failed, or what a process has died of, runs alone.
  if (first.lost > 0 || first.attempt > 0) return [first];
  const end = rest.findIndex(
    (row) => row.state === "dead" || !row.is_due || row.attempt > 0 || row.lost > 0,
  );
  return [first, ...(end === -1 ? rest : rest.slice(0, end))];
};

/** Those of the handlers that have something to run. */
export const readDueHandlers = async (sql: Sql, handlers: readonly string[]): Promise<string[]> => {
  const rows = await sql<{ handler: string }[]>`
    select handler from unnest(${handlers}::text[]) as asked (handler)
    where exists (
      select from outrider.parked_heads h
      where h.handler = asked.handler and not fresh and due_at <= clock_timestamp()
        and (claimed_until is null or claimed_until < clock_timestamp()))`;
  return rows.map((row) => row.handler);
};

/** Locks the heads that are still claimed; false: somebody else has one of them by now. */
export const lockClaims = async (
  tx: TransactionSql,
  claims: readonly Claim[],
): Promise<boolean> => {
  const rows = await tx`
    select from outrider.parked_heads h
    join unnest(
      ${claims.map((claim) => claim.head)}::bigint[], ${claims.map((claim) => claim.token)}::uuid[]
    ) as claimed (id, token) on h.id = claimed.id and h.token = claimed.token
    order by h.handler, h.topic, h.key
    for update of h`;
  return rows.length === claims.length;
};

export const lockClaim = (tx: TransactionSql, claim: Claim): Promise<boolean> =>
  lockClaims(tx, [claim]);

/**
 * Ends a claim, under the head's lock: without rows the head goes, too; else it is due when its
 * first row is, which is never while that one is dead. A statement of its own behind what removed
 * rows, so that it sees those that were added while the lock was waited for.
 */
export const settleHead = async (
  tx: TransactionSql,
  head: string,
  batchMax: "same" | "one" | "more" = "same",
): Promise<void> => {
  const [first] = await tx<{ state: string; due_at: string }[]>`
    select state, due_at::text from outrider.parked where head = ${head}
    order by partition, "offset" limit 1`;
  if (!first) {
    await tx`delete from outrider.parked_heads where id = ${head}`;
    return;
  }
  await tx`
    update outrider.parked set token = null where head = ${head} and token is not null`;
  await tx`
    update outrider.parked_heads
    set token = null, claimed_until = null,
      due_at = case when ${first.state} = 'dead' then 'infinity'
        else ${first.due_at}::timestamptz end,
      batch_max = case ${batchMax}::text when 'one' then 1
        when 'more' then least(batch_max * 2, ${batchRowsMax}) else batch_max end
    where id = ${head}`;
};

/** Ends claims whose rows are gone: at once where nothing else waits, else one by one. */
export const settleHeads = async (tx: TransactionSql, heads: readonly string[]): Promise<void> => {
  const gone = await tx<{ id: string }[]>`
    delete from outrider.parked_heads h
    where id = any(${heads}::bigint[])
      and not exists (select from outrider.parked p where p.head = h.id)
    returning id`;
  const left = new Set(heads);
  for (const { id } of gone) left.delete(id);
  for (const head of left) await settleHead(tx, head, "more");
};

/** Of one run: with one claim for each event a hot key would never leave its queue. */
const batchRowsMax = 200;

/** Keeps claims while their handlers run. */
export const renewClaims = async (
  sql: Sql,
  claims: readonly Claim[],
  claimMs: number,
): Promise<void> => {
  await sql.begin(async (tx) => {
    // The update would lock the heads in the order of their table.
    await lockClaims(tx, claims);
    await tx`
      update outrider.parked_heads h
      set claimed_until = clock_timestamp() + ${claimMs} * interval '1 ms'
      from unnest(
        ${claims.map((claim) => claim.head)}::bigint[],
        ${claims.map((claim) => claim.token)}::uuid[]
      ) as claimed (id, token)
      where h.id = claimed.id and h.token = claimed.token`;
  });
};

/** Gives claims back that nothing has been run of: they are due as before, and count for nobody. */
export const releaseClaims = async (
  tx: TransactionSql,
  claims: readonly Claim[],
): Promise<void> => {
  const [heads, tokens] = [claims.map((claim) => claim.head), claims.map((claim) => claim.token)];
  await lockClaims(tx, claims);
  await tx`
    update outrider.parked_heads h set token = null, claimed_until = null
    from unnest(${heads}::bigint[], ${tokens}::uuid[]) as claimed (id, token)
    where h.id = claimed.id and h.token = claimed.token`;
  await tx`
    update outrider.parked set token = null
    where head = any(${heads}::bigint[]) and token = any(${tokens}::uuid[])`;
};
