/**
 * A member's signs of life, and partitions of its group that no member reads, as the table of
 * readers tells: a reader says now and then that it is alive. Kafka cannot tell, since for it a
 * member that hangs owns what it was granted. While Postgres is away nobody knows, and nothing
 * counts.
 */

import type { Subscriber, SubscriberVitals, TopicPartition } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { nameOf } from "./assignment.ts";
import { repeat } from "./repeat.ts";

export type Unread = TopicPartition & Readonly<{ forMs: number }>;

export type Life = Omit<SubscriberVitals, "partitions"> &
  /** Partitions that no member reads. */
  Readonly<{ unread: readonly Unread[] }>;

type Watched = Readonly<{
  group: string;
  /** Readers that were not seen for so long are taken to have ended; looks come as often. */
  deadMs: number;
  subscriber: Pick<Subscriber, "vitals">;
}>;

export const watchLife = (
  { group, deadMs, subscriber }: Watched,
  { sql, signal }: Readonly<{ sql: Sql; signal: AbortSignal }>,
) => {
  let unread: readonly Unread[] = [];
  const look = async (): Promise<void> => {
    const rows = await sql<TopicPartition[]>`
      select topic, partition from outrider.readers
      where "group" = ${group} and seen_at > clock_timestamp() - ${deadMs} * interval '1 ms'`;
    const { partitions } = subscriber.vitals();
    unread = countUnread(unread, { partitions, read: rows, lookMs: deadMs });
  };
  const ended = repeat(deadMs, signal, () => look().catch(() => {}));
  const life = (): Life => {
    const { callMs, silenceMs } = subscriber.vitals();
    return { callMs, silenceMs, unread };
  };
  return { life, ended };
};

/** Looks are counted, not time: a process that was stopped has not looked. */
export const countUnread = (
  before: readonly Unread[],
  now: Readonly<{
    partitions: readonly TopicPartition[];
    read: readonly TopicPartition[];
    lookMs: number;
  }>,
): Unread[] => {
  const read = new Set(now.read.map(nameOf));
  const known = new Map(before.map((one) => [nameOf(one), one.forMs + now.lookMs]));
  return now.partitions
    .filter((at) => !read.has(nameOf(at)))
    .map((at) => ({ ...at, forMs: known.get(nameOf(at)) ?? 0 }));
};
