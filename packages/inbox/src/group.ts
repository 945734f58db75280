/**
 * A consumer group's member: it starts assigned partitions at their watermarks, feeds them, holds
 * the client back while too much is unresolved, and drains them before they are given back.
 */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@outrider/event";
import type { AssignedPartition, KafkaRecord, Position, Subscribe } from "@outrider/event";
import type { TopicPartition } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { Handler } from "./handler.ts";
import type { Failure } from "./lane.ts";
import { createPartition } from "./partition.ts";
import type { Partition, PartitionDeps } from "./partition.ts";
import { startOffset } from "./start-offset.ts";
import { readWatermarks, writeWatermarks } from "./watermarks.ts";

export type GroupLimits = Readonly<{
  /** Most records of a partition that are admitted and unresolved. */
  admittedMax: number;
  /** How often watermarks are written. */
  watermarkMs: number;
  /** How long a drain waits for handlers before it aborts them. */
  drainMs: number;
}>;

export type GroupDeps = Omit<PartitionDeps, "onResolved"> &
  Readonly<{
    sql: Sql;
    subscribe: Subscribe;
    /** Kafka had deleted `missing` records before they were read. */
    onGap?(partition: TopicPartition, missing: number): void;
  }>;

export type GroupState = Readonly<{
  group: string;
  isConnected: boolean;
  partitions: number;
  unresolved: number;
  /** Events that are being retried in place. */
  failing: readonly Failure[];
  /** Partitions that are not read, since their watermark does not fit their log. */
  halted: readonly TopicPartition[];
}>;

export type Group = Readonly<{ state(): GroupState; stop(): Promise<void> }>;

type Assigned = {
  /** Absent while halted. */
  partition?: Partition;
  at: TopicPartition;
  isPaused: boolean;
  /** The watermark that was written last. */
  written: number;
};

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;

export const startGroup = (
  group: string,
  handlers: readonly Handler[],
  deps: GroupDeps,
  limits: GroupLimits,
): Group => {
  const { sql, log } = deps;
  const assigned = new Map<string, Assigned>();
  const stopping = new AbortController();

  const watermarksOf = async (partitions: readonly TopicPartition[]): Promise<Position[]> => {
    for (let failures = 1; ; failures += 1) {
      try {
        return await readWatermarks(sql, group, partitions);
      } catch (error) {
        if (stopping.signal.aborted) throw error;
        log.warn({ group, err: error }, "watermarks cannot be read; nothing is consumed before");
        await delay(backoffMs(failures, deps.retry, deps.random), undefined, {
          signal: stopping.signal,
        });
      }
    }
  };

  const begin = (at: AssignedPartition, watermark: number | undefined): Position => {
    const { topic, partition } = at;
    const start = startOffset(at, watermark);
    if (start.kind === "beyond") {
      log.error({ group, ...at, watermark }, "the watermark is beyond the log's end; halted");
      assigned.set(nameOf(at), { at, isPaused: true, written: 0 });
      return { topic, partition, offset: at.high };
    }
    if (start.kind === "gap") {
      log.error(
        { group, ...at, watermark },
        "records were deleted from Kafka before they were read",
      );
      deps.onGap?.({ topic, partition }, start.missing);
    }
    const position = { topic, partition, offset: start.offset };
    const entry: Assigned = { at, isPaused: false, written: start.offset };
    const interested = handlers.filter((handler) => handler.topics.includes(topic));
    entry.partition = createPartition(position, interested, {
      ...deps,
      onResolved: () => resumeIfRoom(entry),
    });
    assigned.set(nameOf(at), entry);
    return position;
  };

  const onAssign = async (partitions: readonly AssignedPartition[]): Promise<Position[]> => {
    const watermarks = await watermarksOf(partitions);
    const offsets = new Map(watermarks.map((one) => [nameOf(one), one.offset]));
    return partitions.map((at) => begin(at, offsets.get(nameOf(at))));
  };

  const onRecords = (records: readonly KafkaRecord[]): void => {
    for (const [name, batch] of Map.groupBy(records, nameOf)) {
      const entry = assigned.get(name);
      entry?.partition?.admit(batch);
      if (entry) pauseIfFull(entry);
    }
  };

  const pauseIfFull = (entry: Assigned): void => {
    const isFull = !entry.partition || entry.partition.unresolved() >= limits.admittedMax;
    if (!isFull) return;
    entry.isPaused = true;
    // A few records that the client has fetched already may still come; they are admitted.
    subscriber.pause([entry.at]);
  };

  const resumeIfRoom = (entry: Assigned): void => {
    const isRoomy = (entry.partition?.unresolved() ?? 0) <= limits.admittedMax / 2;
    if (!entry.isPaused || !isRoomy || assigned.get(nameOf(entry.at)) !== entry) return;
    entry.isPaused = false;
    subscriber.resume([entry.at]);
  };

  const onRevoke = async (partitions: readonly TopicPartition[]): Promise<void> => {
    const leaving = partitions.flatMap((one) => assigned.get(nameOf(one)) ?? []);
    for (const entry of leaving) assigned.delete(nameOf(entry.at));
    await Promise.all(leaving.map((entry) => entry.partition?.drain(limits.drainMs)));
    await flush(leaving);
  };

  /** A failure costs nothing but reading again what the inbox already knows. */
  const flush = async (entries: readonly Assigned[]): Promise<void> => {
    const moved = entries.flatMap((entry) => {
      const position = entry.partition?.position();
      return position && position.offset > entry.written ? [{ entry, position }] : [];
    });
    if (moved.length === 0) return;
    const positions = moved.map((one) => one.position);
    try {
      await writeWatermarks(sql, group, positions);
      for (const { entry, position } of moved) entry.written = position.offset;
      await subscriber.commit(positions);
    } catch (error) {
      log.warn({ group, err: error }, "watermarks could not be written");
    }
  };

  const subscriber = deps.subscribe(group, topicsOf(handlers), {
    onAssign,
    onRevoke,
    onRecords,
    onError: (error) => log.warn({ group, err: error }, "the consumer reports trouble"),
  });

  const flushing = (async () => {
    while (!stopping.signal.aborted) {
      await delay(limits.watermarkMs, undefined, { signal: stopping.signal }).catch(() => {});
      await flush([...assigned.values()]);
    }
  })();

  const state = (): GroupState => {
    const entries = [...assigned.values()];
    return {
      group,
      isConnected: subscriber.isHealthy(),
      partitions: entries.length,
      unresolved: entries.reduce((sum, one) => sum + (one.partition?.unresolved() ?? 0), 0),
      failing: entries.flatMap((one) => one.partition?.failures() ?? []),
      halted: entries.filter((one) => !one.partition).map((one) => one.at),
    };
  };

  const stop = async (): Promise<void> => {
    stopping.abort();
    await subscriber.close();
    await flushing;
  };

  return { state, stop };
};

const topicsOf = (handlers: readonly Handler[]): string[] => [
  ...new Set(handlers.flatMap((handler) => handler.topics)),
];
