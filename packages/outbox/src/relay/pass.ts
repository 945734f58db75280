/**
 * One turn of a shard's loop: take the visible rows in id order, hold those of blocked keys,
 * publish the rest, and delete what the broker has acknowledged.
 */

import { bytesOf } from "./aside.ts";
import { keyName } from "./block.ts";
import type { Cause } from "./bury.ts";
import { deliverOnTrial, endTrial } from "./deliver.ts";
import { assertCount } from "./epoch.ts";
import type { Turn } from "./epoch.ts";
import type { PendingRow, ReadRequest } from "./read.ts";

/** What a pass begins with. */
export type Reading = Readonly<{
  rows: readonly PendingRow[];
  /** There may be more to read at once. */
  isFull: boolean;
}>;

/** A read, and what its answer says. */
export type Read = Readonly<{
  request: ReadRequest;
  take(rows: readonly PendingRow[]): Reading;
}>;

export const planRead = ({ epoch, deps, memory }: Turn, rowsMax: number): Read => {
  const { lease, floor, stuck } = epoch;
  const { suspicion, trial, refused } = memory;
  const raise = floor.begin();
  const most = Math.min(rowsMax, suspicion.rowsMax(), trial.rowsMax());
  const topics = [...stuck.topics(), ...refused.topics()];
  return {
    request: { lease, floor: floor.value(), topics, rowsMax: most },
    take: (rows) => {
      raise(rows[0]?.id);
      return { rows, isFull: rows.length >= most || bytesOf(rows) >= deps.limits.batchBytesMax };
    },
  };
};

export const readNow = async (turn: Turn): Promise<Reading> => {
  const { batchMax, batchBytesMax } = turn.deps.limits;
  const { request, take } = planRead(turn, batchMax);
  const found = await turn.deps.store.readPending([request], batchBytesMax);
  return take(found.get(request.lease.shard) ?? []);
};

/** Returns whether there may be more to read at once. */
export const runPass = async (turn: Turn, { rows, isFull }: Reading): Promise<boolean> => {
  const { epoch, memory } = turn;
  if (rows.length === 0) {
    await endTrial(turn);
    return false;
  }
  // The read may have taken long, and publishing carries no fence of its own.
  epoch.assertOwned();
  const free = await holdBlocked(rows, turn);
  const condemned = memory.suspicion.condemned();
  const at = condemned ? free.findIndex((row) => row.id === condemned.id) : -1;
  const [first] = free;
  if (condemned && first && at === 0) {
    // Forgotten first: when its burial is committed and the answer is lost, an operator may edit it
    // and release it under the same id, and then it is to be tried.
    memory.suspicion.pass(first.id);
    await buryRow(first, condemned.cause, turn);
    return true;
  }
  // A condemned row comes first in its pass, so that nothing of its key is published behind it.
  const sound = at > 0 ? free.slice(0, at) : free;
  if (sound.length > 0) await deliverOnTrial({ rows: sound }, turn);
  memory.suspicion.pass((at > 0 ? sound : rows).at(-1)?.id ?? 0);
  if (isFull || at > 0) return true;
  await endTrial(turn);
  return false;
};

/** Moves the rows of blocked keys out of the way; returns the others. */
const holdBlocked = async (
  rows: readonly PendingRow[],
  { epoch: { blocks, lease }, deps: { store, events } }: Turn,
): Promise<readonly PendingRow[]> => {
  if (blocks.size === 0) return rows;
  const blockOf = (row: PendingRow) => blocks.get(keyName(row.topic, row.key));
  const waiting = rows.flatMap((row) => {
    const block = blockOf(row);
    return block ? [{ id: row.id, block: block.id }] : [];
  });
  if (waiting.length === 0) return rows;
  assertCount(lease, waiting.length, await store.hold(lease, waiting));
  events.onHeld?.(lease.shard, waiting.length);
  return rows.filter((row) => !blockOf(row));
};

const buryRow = async (row: PendingRow, cause: Cause, { epoch, deps }: Turn): Promise<void> => {
  const { lease, blocks, floor } = epoch;
  const { store, limits, log, events } = deps;
  const policy = limits.skipTopics.has(row.topic) ? "skip" : "hold";
  assertCount(lease, 1, await store.bury(lease, { row, cause, policy }));
  for (const [name, block] of await store.readBlocks(lease)) blocks.set(name, block);
  floor.reset();
  const fields = { shard: lease.shard, topic: row.topic, eventId: row.eventId, policy };
  log.error({ ...fields, code: cause.code }, "an event is refused for good; it is a dead letter");
  events.onBuried?.(lease.shard, cause.code);
};
