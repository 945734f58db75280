/**
 * A broker takes whatever sequence an idempotent producer sends it first in a partition. Until one
 * record has been acknowledged there, nothing stops the second batch when the first one is
 * refused: it is stored, and the first one is overtaken or lost, gapless mode or not. (Both seen
 * with librdkafka 2.15 on Kafka 4.3: docs/design.md.) So a producer's first record in a partition
 * goes alone; from then on the broker itself refuses whatever comes out of order.
 */

import { partitionOf } from "@outrider/event";
import type { PublishRecord } from "@outrider/event";

export type Openings = Readonly<{
  /** Every partition of the topic has acknowledged something. */
  isOpen(topic: string): boolean;
  /** Indexes: of the records that must be acknowledged first, and of those behind them. */
  split(
    topic: string,
    records: readonly PublishRecord[],
  ): Promise<Readonly<{ first: readonly number[]; rest: readonly number[] }>>;
  /** These records are acknowledged. */
  opened(topic: string, records: readonly PublishRecord[]): void;
}>;

type Topic = { partitions: number; open: Set<number> };

export const createOpenings = (countPartitions: (topic: string) => Promise<number>): Openings => {
  const topics = new Map<string, Topic>();

  const know = async (name: string): Promise<Topic> => {
    const known = topics.get(name);
    if (known) return known;
    const topic = { partitions: await countPartitions(name), open: new Set<number>() };
    topics.set(name, topic);
    return topic;
  };

  const split: Openings["split"] = async (name, records) => {
    const { partitions, open } = await know(name);
    const opening = new Set<number>();
    const first: number[] = [];
    const rest: number[] = [];
    records.forEach(({ key }, index) => {
      const partition = partitionOf(key, partitions);
      if (open.has(partition) || opening.has(partition)) return void rest.push(index);
      opening.add(partition);
      first.push(index);
    });
    return { first, rest };
  };

  return {
    isOpen: (name) => {
      const topic = topics.get(name);
      return topic !== undefined && topic.open.size === topic.partitions;
    },
    split,
    opened: (name, records) => {
      const topic = topics.get(name);
      if (!topic) return;
      for (const { key } of records) topic.open.add(partitionOf(key, topic.partitions));
    },
  };
};
