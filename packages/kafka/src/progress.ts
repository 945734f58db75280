/**
 * Whether a consumer gets what is there. A client may stall without a word: its partitions have
 * records, nobody has paused them, and nothing comes (confluent-kafka-javascript, issue 476).
 */

import type { AssignedPartition, KafkaRecord, Position, TopicPartition } from "@outrider/event";

export type Progress = Readonly<{
  assigned(starts: readonly Position[]): void;
  revoked(partitions: readonly TopicPartition[]): void;
  delivered(records: readonly KafkaRecord[]): void;
  paused(partitions: readonly TopicPartition[]): void;
  resumed(partitions: readonly TopicPartition[]): void;
  /** Looks. Partitions whose next record has been there for `stallMs` of looking, and not come. */
  stalled(): Promise<readonly TopicPartition[]>;
}>;

export type ProgressDeps = Readonly<{
  /** Asks the broker where a partition begins and ends. */
  query(partition: TopicPartition): Promise<AssignedPartition>;
  stallMs: number;
  /** Of a clock that stops with the process. */
  nowMs(): number;
  /**
   * By partition, where it ended when it was found to stall. A tail that no consumer is ever given,
   * such as the mark of a transaction, looks like a stall: it is one only once.
   */
  excused: Map<string, number>;
}>;

type Watched = {
  at: TopicPartition;
  next: number;
  isPaused: boolean;
  /** When the record `next` was first seen to be there. */
  thereSinceMs: number | undefined;
};

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

export const createProgress = (deps: ProgressDeps): Progress => {
  const { query, stallMs, nowMs, excused } = deps;
  const watched = new Map<string, Watched>();

  const setPaused = (partitions: readonly TopicPartition[], isPaused: boolean): void => {
    for (const at of partitions) {
      const one = watched.get(nameOf(at));
      if (one) Object.assign(one, { isPaused, thereSinceMs: undefined });
    }
  };

  const isStalled = async (one: Watched): Promise<boolean> => {
    const { next } = one;
    const { high } = await query(one.at);
    // It may have moved meanwhile.
    if (high <= one.next || one.next !== next || one.isPaused) {
      one.thereSinceMs = undefined;
      return false;
    }
    one.thereSinceMs ??= nowMs();
    if (nowMs() - one.thereSinceMs < stallMs) return false;
    const name = nameOf(one.at);
    if (excused.get(name) === high) return false;
    excused.set(name, high);
    return true;
  };

  return {
    assigned: (starts) => {
      for (const { offset, ...at } of starts) {
        watched.set(nameOf(at), { at, next: offset, isPaused: false, thereSinceMs: undefined });
      }
    },
    revoked: (partitions) => {
      for (const at of partitions) watched.delete(nameOf(at));
    },
    delivered: (records) => {
      for (const record of records) {
        const one = watched.get(nameOf(record));
        if (one) Object.assign(one, { next: record.offset + 1, thereSinceMs: undefined });
      }
    },
    paused: (partitions) => setPaused(partitions, true),
    resumed: (partitions) => setPaused(partitions, false),
    stalled: async () => {
      const stalled: TopicPartition[] = [];
      // One after the other: each question holds a thread for as long as the broker takes.
      for (const one of [...watched.values()].filter(({ isPaused }) => !isPaused)) {
        try {
          if (await isStalled(one)) stalled.push(one.at);
        } catch {
          // A broker that is away could not give it either.
          one.thereSinceMs = undefined;
        }
      }
      return stalled;
    },
  };
};
