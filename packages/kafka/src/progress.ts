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
  /** Partitions that have had records for `stallMs` and gave none. */
  stalled(): Promise<readonly TopicPartition[]>;
}>;

export type ProgressDeps = Readonly<{
  /** Asks the broker where a partition begins and ends. */
  query(partition: TopicPartition): Promise<AssignedPartition>;
  stallMs: number;
  nowMs(): number;
  /**
   * By partition, where it ended when it was found to stall. A tail that no consumer is ever given,
   * such as the mark of a transaction, looks like a stall: it is one only once.
   */
  excused: Map<string, number>;
}>;

type Watched = { at: TopicPartition; next: number; sinceMs: number; isPaused: boolean };

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

export const createProgress = (deps: ProgressDeps): Progress => {
  const { query, stallMs, nowMs, excused } = deps;
  const watched = new Map<string, Watched>();

  const setPaused = (partitions: readonly TopicPartition[], isPaused: boolean): void => {
    for (const at of partitions) {
      const one = watched.get(nameOf(at));
      if (one) Object.assign(one, { isPaused, sinceMs: nowMs() });
    }
  };

  const isStalled = async (one: Watched): Promise<boolean> => {
    const { next } = one;
    const { high } = await query(one.at);
    // It may have moved meanwhile.
    if (high <= one.next || one.next !== next || one.isPaused) return false;
    const name = nameOf(one.at);
    if (excused.get(name) === high) return false;
    excused.set(name, high);
    return true;
  };

  return {
    assigned: (starts) => {
      for (const { offset, ...at } of starts) {
        watched.set(nameOf(at), { at, next: offset, sinceMs: nowMs(), isPaused: false });
      }
    },
    revoked: (partitions) => {
      for (const at of partitions) watched.delete(nameOf(at));
    },
    delivered: (records) => {
      const sinceMs = nowMs();
      for (const record of records) {
        const one = watched.get(nameOf(record));
        if (one) Object.assign(one, { next: record.offset + 1, sinceMs });
      }
    },
    paused: (partitions) => setPaused(partitions, true),
    resumed: (partitions) => setPaused(partitions, false),
    stalled: async () => {
      const quiet = [...watched.values()].filter(
        (one) => !one.isPaused && nowMs() - one.sinceMs >= stallMs,
      );
      const answers = await Promise.all(quiet.map((one) => isStalled(one).catch(() => false)));
      return quiet.filter((_, index) => answers[index]).map((one) => one.at);
    },
  };
};
