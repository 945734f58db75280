/**
 * Publishing what waited behind a blocked key, once an operator has decided about its head. It is
 * published straight from where it waits, in id order, while passes go on moving new rows of the
 * key there; the statement that finds nothing left removes the block. Moving the rows back, or
 * unblocking with the first of them, would let later events overtake (shown in the models).
 */

import type { Block } from "./block.ts";
import type { Cause } from "./bury.ts";
import { deliverOnTrial } from "./deliver.ts";
import { assertCount } from "./epoch.ts";
import type { Turn } from "./epoch.ts";
import type { PendingRow } from "./read.ts";

/** Serves the released keys, a batch each. Returns whether there were any. */
export const runReleasePasses = async (turn: Turn): Promise<boolean> => {
  const { epoch, memory } = turn;
  if (epoch.blocks.size === 0) return false;
  let isAny = false;
  // Asked for each anew: the one before may have shown that its topic is stuck.
  const isAside = (topic: string) =>
    epoch.stuck.topics().includes(topic) || memory.refused.topics().includes(topic);
  for (const [name, block] of epoch.blocks) {
    if (!block.isReleasing || isAside(block.topic)) continue;
    epoch.assertOwned();
    await release(name, block, turn);
    isAny = true;
  }
  return isAny;
};

const release = async (name: string, block: Block, turn: Turn): Promise<void> => {
  const { epoch, deps, memory } = turn;
  const { lease, blocks } = epoch;
  if (block.verdict) {
    const isApplied = await deps.store.applyVerdict(lease, block);
    assertCount(lease, 1, isApplied ? 1 : 0);
    blocks.set(name, { ...block, verdict: null });
  }
  const rows = await deps.store.readHeld(lease, {
    block: block.id,
    rowsMax: Math.min(memory.suspicion.rowsMax(), memory.trial.rowsMax()),
    bytesMax: deps.limits.batchBytesMax,
  });
  if (rows.length === 0) {
    return unblock(name, block, turn);
  }
  epoch.assertOwned();
  const condemned = memory.suspicion.condemned();
  const at = condemned ? rows.findIndex((row) => row.id === condemned.id) : -1;
  const [first] = rows;
  if (condemned && first && at === 0) {
    // Forgotten first, as in a pass.
    memory.suspicion.pass(first.id);
    return buryAgain(first, condemned.cause, { name, block, turn });
  }
  const sound = at > 0 ? rows.slice(0, at) : rows;
  await deliverOnTrial({ rows: sound, block: block.id }, turn);
  memory.suspicion.pass(sound.at(-1)?.id ?? 0);
};

const unblock = async (name: string, block: Block, { epoch, deps }: Turn): Promise<void> => {
  const { lease, blocks, floor } = epoch;
  // The read is empty when the lease is lost, too: this statement tells the two apart.
  assertCount(lease, 1, (await deps.store.unblock(lease, block.id)) ? 1 : 0);
  blocks.delete(name);
  floor.reset();
  deps.log.info({ shard: lease.shard, topic: block.topic }, "a blocked key is free again");
};

const buryAgain = async (
  row: PendingRow,
  cause: Cause,
  { name, block, turn }: Readonly<{ name: string; block: Block; turn: Turn }>,
): Promise<void> => {
  const { lease, blocks } = turn.epoch;
  const burial = { block: block.id, row, cause, policy: "hold" } as const;
  assertCount(lease, 1, await turn.deps.store.buryHeld(lease, burial));
  blocks.set(name, { ...block, headId: row.id, isReleasing: false, verdict: null });
  turn.deps.events.onBuried?.(lease.shard, cause.code);
};
