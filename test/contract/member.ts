/** One member of a consumer group, which notes down what happens to it. */

import { setTimeout as delay } from "node:timers/promises";
import type { AssignedPartition, KafkaRecord, Position, Subscribe } from "@outrider/event";
import type { Subscriber } from "@outrider/event";

export type MemberOptions = Readonly<{
  /** Where to start; at the lowest offset by default. */
  startAt?(at: AssignedPartition): number;
  /** How long what is in flight takes at a hand-over. */
  drainMs?: number;
  /** At the end of a drain: where each partition stopped. */
  onDrained?(positions: readonly Position[]): void;
  onStart?(partition: number): void;
}>;

export type Member = Readonly<{
  subscriber: Subscriber;
  received: readonly KafkaRecord[];
  /** The last offer of each partition. */
  offered: ReadonlyMap<number, AssignedPartition>;
  errors: readonly unknown[];
  /** What came from a partition, in the order in which it came. */
  offsets(partition: number): number[];
}>;

export const joinAs = (
  subscribe: Subscribe,
  { topic, group }: Readonly<{ topic: string; group: string }>,
  { startAt, drainMs = 0, onDrained, onStart }: MemberOptions,
): Member => {
  const received: KafkaRecord[] = [];
  const errors: unknown[] = [];
  const offered = new Map<number, AssignedPartition>();
  const next = new Map<number, number>();
  const subscriber = subscribe(group, [topic], {
    onAssign: async (partitions) =>
      partitions.map((at) => {
        const offset = startAt?.(at) ?? at.low;
        offered.set(at.partition, at);
        next.set(at.partition, offset);
        onStart?.(at.partition);
        return { topic, partition: at.partition, offset };
      }),
    onRevoke: async (partitions) => {
      const left = partitions.map(({ partition }) => ({
        topic,
        partition,
        offset: next.get(partition) ?? 0,
      }));
      // What comes from here on is nobody's any more.
      for (const { partition } of partitions) next.delete(partition);
      await delay(drainMs);
      onDrained?.(left);
    },
    onRecords: (records) => {
      for (const record of records) {
        if (!next.has(record.partition)) continue;
        next.set(record.partition, record.offset + 1);
        received.push(record);
      }
    },
    onError: (error) => errors.push(error),
  });
  return {
    subscriber,
    received,
    offered,
    errors,
    offsets: (partition) =>
      received.filter((record) => record.partition === partition).map((record) => record.offset),
  };
};
