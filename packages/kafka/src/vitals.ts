/**
 * A subscriber's signs of life, across the consumers that it has had. Handlers have no part in
 * them: a slow one keeps no call into the client waiting.
 */

import type { SubscriberVitals, TopicPartition } from "@outrider/event";

export type Vitals = Readonly<{
  /** Counts the call as out until it comes back, also after nobody waits for it any more. */
  out<T>(call: Promise<T>): Promise<T>;
  /** The same for a call that comes back well only when a broker has answered. */
  asked<T>(call: Promise<T>): Promise<T>;
  /** A broker has answered. */
  answered(): void;
  /** What the cluster said about the partitions of a topic. */
  counted(topic: string, partitions: number): void;
  read(): SubscriberVitals;
}>;

export const createVitals = (nowMs: () => number): Vitals => {
  const calls = new Set<Readonly<{ sinceMs: number }>>();
  const counts = new Map<string, number>();
  let answeredMs = nowMs();
  const answered = (): void => {
    answeredMs = nowMs();
  };
  const out = async <T>(call: Promise<T>): Promise<T> => {
    const one = { sinceMs: nowMs() };
    calls.add(one);
    try {
      return await call;
    } finally {
      calls.delete(one);
    }
  };
  return {
    out,
    asked: async (call) => {
      const result = await out(call);
      answered();
      return result;
    },
    answered,
    counted: (topic, partitions) => void counts.set(topic, partitions),
    read: () => ({
      callMs: nowMs() - Math.min(nowMs(), ...[...calls].map((one) => one.sinceMs)),
      silenceMs: nowMs() - answeredMs,
      partitions: [...counts].flatMap(([topic, count]) => numbered(topic, count)),
    }),
  };
};

const numbered = (topic: string, count: number): TopicPartition[] =>
  Array.from({ length: count }, (_, partition) => ({ topic, partition }));
