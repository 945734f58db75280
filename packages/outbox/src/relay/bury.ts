/** Giving an event up: a dead letter, and a block for its key unless the policy is `skip`. */

import { occurredMsOf } from "@outrider/event";
import type { PublishRecord } from "@outrider/event";
import { pairsOf } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";
import type { PendingRow } from "./read.ts";
import { recordOf } from "./record.ts";

/** Why an event is given up, in words for people, and a code that letters are grouped by. */
export type Cause = Readonly<{ code: string; message: string }>;

export type Burial = Readonly<{ row: PendingRow; cause: Cause; policy: "hold" | "skip" }>;

/**
 * In one statement, under the fence, which also forgets which row was tried alone, since an
 * operator may release this one again: the row leaves the outbox, its dead letter is opened, and
 * with `hold` its key is blocked, with the row as the head of what waits. Returns 1, or 0 when the
 * shard is lost.
 */
export const bury = async (sql: Sql, lease: Lease, burial: Burial): Promise<number> => {
  const { row, policy } = burial;
  const { shard, owner, epoch } = lease;
  const [counted] = await sql<{ count: number }[]>`
    with own as (
      update outrider.shards set trying = null, trying_crashes = 0
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      returning 1
    ), gone as (
      delete from outrider.outbox o using own
      where o.shard = ${shard} and o.id = ${row.id}
      returning o.*
    ), ${letterSql(sql, burial, "gone")}, block as (
      insert into outrider.blocked (topic, key, head_id, letter_id)
      select gone.topic, gone.key, gone.id, letter.id from gone, letter where ${policy} = 'hold'
      returning id
    ), held as (
      insert into outrider.outbox_held
        (block, id, event_id, type, version, sequence, topic, key, headers, payload, created_at)
      select block.id, gone.id, event_id, type, version, sequence, topic, key, headers, payload,
        created_at
      from gone, block
    )
    select count(*)::int as count from gone`;
  return counted?.count ?? 0;
};

/** A row that waited, or a head that was released, is refused again: it is the head now. */
export const buryHeld = async (
  sql: Sql,
  lease: Lease,
  { block, ...burial }: Burial & Readonly<{ block: string }>,
): Promise<number> => {
  const { row } = burial;
  const { shard, owner, epoch } = lease;
  const result = await sql`
    with own as (
      update outrider.shards set trying = null, trying_crashes = 0
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      returning 1
    ), gone as (
      select h.* from outrider.outbox_held h, own where h.block = ${block} and h.id = ${row.id}
    ), ${letterSql(sql, burial, "gone")}
    update outrider.blocked b
    set state = 'on', verdict = null, head_id = gone.id, letter_id = letter.id
    from gone, letter where b.id = ${block}`;
  return result.count;
};

/** One letter per event, with its record's headers: burying it once more opens it again. */
const letterSql = (sql: Sql, { row, cause, policy }: Burial, from: "gone") => {
  const { headers } = recordOf(row);
  return sql`letter as (
      insert into outrider.dead_letters as letter
        (origin, event_id, type, version, sequence, topic, key, headers, payload, code, message,
          fingerprint, skipped, occurred_at)
      select 'relay', event_id, type, version, sequence, topic, key, ${sql.json(pairsOf(headers))},
        payload, ${cause.code}, ${cause.message}, ${`relay ${row.topic} ${cause.code}`},
        ${policy === "skip"}, to_timestamp(${occurredSecondsOf(row, headers)}::float8)
      from ${sql(from)}
      on conflict (event_id, handler) do update
      set state = 'open', attempts = letter.attempts + 1, code = excluded.code,
        message = excluded.message, fingerprint = excluded.fingerprint, skipped = excluded.skipped,
        buried_at = clock_timestamp(), closed_at = null, closed_by = null, reason = null
      returning letter.id
    ), noted as (
      insert into outrider.dead_letter_history (letter, action, message)
      select letter.id, 'buried', ${`${cause.code}: ${cause.message}`} from letter
    )`;
};

/** Postgres holds more, and the driver reads a year below 100 as one of the last century. */
const [earliestMs, latestMs] = [Date.UTC(100, 0), Date.UTC(9999, 11, 31)];

/**
 * What `ce_time` says, else when the row was written, within what every statement and reader of
 * letters takes: a time that Postgres refused would keep its shard from going on.
 */
const occurredSecondsOf = (row: PendingRow, headers: PublishRecord["headers"]): number => {
  const said = headers.findLast((header) => Object.hasOwn(header, "ce_time"))?.ce_time;
  const ms = said === undefined ? undefined : occurredMsOf(Buffer.from(said).toString("utf8"));
  const occurredMs = ms === undefined || ms < earliestMs ? row.createdMs : ms;
  return Math.min(Math.max(occurredMs, earliestMs), latestMs) / 1000;
};
