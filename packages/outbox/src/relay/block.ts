/** Keys whose head was refused for good, and what waits behind it. */

import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";
import { idArray } from "./settle.ts";

export type Verdict = "retry" | "edit" | "discard";

export type Block = Readonly<{
  /** A bigint as text. */
  id: string;
  topic: string;
  key: Buffer;
  headId: number;
  isReleasing: boolean;
  /** What is to become of the head; null when that is done, or not decided. */
  verdict: Verdict | null;
}>;

/** Names a (topic, key) in maps; a topic has no slash. */
export const keyName = (topic: string, key: Buffer): string => `${topic}/${key.toString("latin1")}`;

/** Only the shard's owner adds or removes blocks, so what it has read stays true. */
export const readBlocks = async (sql: Sql, { shard }: Lease): Promise<Map<string, Block>> => {
  const rows = await sql<
    (Pick<Block, "id" | "topic" | "key" | "verdict"> & { head_id: string; state: string })[]
  >`
    select id, topic, key, head_id, state, verdict from outrider.blocked where shard = ${shard}`;
  const blocks = rows.map(({ head_id: headId, state, ...row }) => ({
    ...row,
    headId: Number(headId),
    isReleasing: state === "release",
  }));
  return new Map(blocks.map((block) => [keyName(block.topic, block.key), block]));
};

/** Moves rows behind the blocks of their keys, as they are; returns how many. */
export const hold = async (
  sql: Sql,
  { shard, owner, epoch }: Lease,
  rows: readonly Readonly<{ id: number; block: string }>[],
): Promise<number> => {
  const result = await sql`
    with own as (
      select 1 from outrider.shards
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      for share
    ), moved as (
      delete from outrider.outbox o
      using unnest(
        ${idArray(rows.map((row) => row.id))}::text::bigint[],
        ${idArray(rows.map((row) => Number(row.block)))}::text::bigint[]
      ) as behind (id, block), own
      where o.shard = ${shard} and o.id = behind.id
      returning behind.block, o.*
    )
    insert into outrider.outbox_held
      (block, id, event_id, type, version, sequence, topic, key, headers, payload, created_at)
    select block, id, event_id, type, version, sequence, topic, key, headers, payload, created_at
    from moved`;
  return result.count;
};

/**
 * Does to the head what an operator has decided, and marks it as done. False: the shard is lost,
 * or the decision is another one by now.
 */
export const applyVerdict = async (
  sql: Sql,
  { shard, owner, epoch }: Lease,
  { id, verdict }: Block,
): Promise<boolean> => {
  const result = await sql`
    with own as (
      select 1 from outrider.shards
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      for share
    ), block as (
      select b.* from outrider.blocked b, own
      where b.id = ${id} and b.state = 'release' and b.verdict = ${verdict}
      for update of b
    ), edited as (
      update outrider.outbox_held h
      set event_id = block.replacement_id, payload = block.replacement_payload,
        headers = h.headers || case jsonb_typeof(h.headers)
          when 'array' then jsonb_build_array(jsonb_build_array('ce_replaces', h.event_id::text))
          else jsonb_build_object('ce_replaces', h.event_id::text) end
      from block
      where block.verdict = 'edit' and h.block = block.id and h.id = block.head_id
    ), discarded as (
      delete from outrider.outbox_held h using block
      where block.verdict = 'discard' and h.block = block.id and h.id = block.head_id
    )
    update outrider.blocked b
    set verdict = null, replacement_id = null, replacement_payload = null
    from block where b.id = block.id`;
  return result.count === 1;
};

/** Removes a block that nothing waits behind any more; false where something does. */
export const unblock = async (
  sql: Sql,
  { shard, owner, epoch }: Lease,
  block: string,
): Promise<boolean> => {
  const result = await sql`
    with own as (
      select 1 from outrider.shards
      where shard = ${shard} and owner = ${owner} and epoch = ${epoch}
      for share
    )
    delete from outrider.blocked b using own
    where b.id = ${block}
      and not exists (select 1 from outrider.outbox_held h where h.block = b.id)`;
  return result.count === 1;
};
