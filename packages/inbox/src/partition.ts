/**
 * One assigned partition: the records that were admitted, and a lane per handler that works
 * through them. A record is resolved when every lane is past it.
 */

import type { KafkaRecord, Position } from "@outrider/event";
import { createDelivery } from "./delivery.ts";
import type { Delivery } from "./delivery.ts";
import type { Handler } from "./handler.ts";
import { startLane } from "./lane.ts";
import type { Failure, LaneDeps, LaneSource } from "./lane.ts";

export type PartitionDeps = Omit<LaneDeps, "draining" | "stopping" | "onSure"> &
  Readonly<{
    /** Some records were resolved. */
    onResolved(): void;
    /** Nothing is left that an earlier reader may have been handling. */
    onSure?(): void;
  }>;

/** `leaderEpoch`: of the last record below the offset; null: not known. */
export type PositionAfter = Position & Readonly<{ leaderEpoch: number | null }>;

export type Partition = Readonly<{
  admit(records: readonly KafkaRecord[]): void;
  /** Admitted and not yet resolved. */
  unresolved(): number;
  /** Everything below its offset has an outcome. */
  position(): PositionAfter;
  failures(): readonly Failure[];
  /** Ends the lanes after the transactions in flight, which are aborted after `abortMs`. */
  drain(abortMs: number): Promise<void>;
}>;

export const createPartition = (
  start: Position & Partial<Pick<PositionAfter, "leaderEpoch">>,
  handlers: readonly Handler[],
  deps: PartitionDeps,
): Partition => {
  const at = { topic: start.topic, partition: start.partition };
  const draining = new AbortController();
  const stopping = new AbortController();
  const buffer: Delivery[] = [];
  /** How many deliveries left the buffer's front; lanes count from the very first. */
  let dropped = 0;
  let nextOffset = start.offset;
  let leaderEpoch = start.leaderEpoch ?? null;
  const reached: number[] = handlers.map(() => 0);
  const sleepers = new Set<() => void>();

  const wakeAll = (): void => {
    for (const wake of sleepers) wake();
    sleepers.clear();
  };

  const admit = (records: readonly KafkaRecord[]): void => {
    if (draining.signal.aborted) return;
    for (const record of records) {
      buffer.push(createDelivery(record));
      nextOffset = record.offset + 1;
    }
    wakeAll();
  };

  const sourceOf = (lane: number): LaneSource => ({
    take: async (max, after = 0) => {
      // Counted from the very first: others may be resolved while this one waits.
      const next = (reached[lane] ?? 0) + after;
      for (;;) {
        if (draining.signal.aborted) return [];
        const from = next - dropped;
        if (from < buffer.length) return buffer.slice(from, from + max);
        await new Promise<void>((resolve) => sleepers.add(resolve));
      }
    },
    resolve: (count) => {
      reached[lane] = (reached[lane] ?? 0) + count;
      const passed = Math.min(...reached) - dropped;
      if (passed === 0) return;
      leaderEpoch = buffer.splice(0, passed).at(-1)?.record.leaderEpoch ?? null;
      dropped += passed;
      deps.onResolved();
    },
  });

  const onSure = afterAll(handlers.length, () => deps.onSure?.());

  const lanes = handlers.map((handler, index) =>
    startLane(sourceOf(index), handler, {
      ...deps,
      onSure,
      draining: draining.signal,
      stopping: stopping.signal,
    }),
  );

  const drain = async (abortMs: number): Promise<void> => {
    draining.abort();
    wakeAll();
    const late = setTimeout(() => stopping.abort(), abortMs);
    await Promise.all(lanes.map((lane) => lane.ended));
    clearTimeout(late);
  };

  return {
    admit,
    unresolved: () => buffer.length,
    position: () => ({ ...at, offset: buffer[0]?.record.offset ?? nextOffset, leaderEpoch }),
    failures: () => lanes.flatMap((lane) => lane.failure() ?? []),
    drain,
  };
};

/** Calls `act` when it has been called itself so many times. */
const afterAll = (count: number, act: () => void): (() => void) => {
  let left = count;
  return () => {
    left -= 1;
    if (left === 0) act();
  };
};
