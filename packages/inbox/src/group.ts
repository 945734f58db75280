/**
 * A consumer group's member: it starts assigned partitions at their watermarks, feeds them, holds
 * the client back while too much is unresolved, and drains them before they are given back.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { backoffMs, isFault } from "@outrider/event";
import type { AssignedPartition, KafkaRecord, Position, ReadLogs } from "@outrider/event";
import type { Subscribe, Subscriber, TopicPartition } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { beginAssignment, nameOf } from "./assignment.ts";
import type { Assignment, AssignmentDeps } from "./assignment.ts";
import type { Handler } from "./handler.ts";
import type { Failure } from "./lane.ts";
import { watchLife } from "./life.ts";
import type { Life } from "./life.ts";
import { createProgress } from "./progress.ts";
import { enterReader, removeReaders, seeReaders } from "./readers.ts";
import type { Remains } from "./readers.ts";
import { repeat } from "./repeat.ts";
import { findStarts } from "./starts.ts";
import type { Found } from "./starts.ts";
import type { Suspected } from "./trial.ts";
import { createMarks, readMarked } from "./trials.ts";
import type { Reader } from "./trials.ts";

export type GroupLimits = Readonly<{
  /** Most records of a partition that are admitted and unresolved. */
  admittedMax: number;
  /** How often watermarks are written. */
  watermarkMs: number;
  /** How long a reader may go without a look whether its log is still the one it has begun. */
  logLookMs: number;
  /** How long a drain waits for handlers before it aborts them. */
  drainMs: number;
  /** Readers that were not seen for so long are taken to have ended. */
  readerDeadMs: number;
}>;

type OfAssignment =
  "group" | "handlers" | "onProgress" | "instance" | "admittedMax" | "remains" | "onSure";

export type GroupDeps = Omit<AssignmentDeps, OfAssignment> &
  Readonly<{ sql: Sql; subscribe: Subscribe; readLogs: ReadLogs }>;

export type GroupState = Readonly<{
  group: string;
  isConnected: boolean;
  /** Has been assigned its partitions once, or has waited so long that there are none for it. */
  isJoined: boolean;
  partitions: number;
  unresolved: number;
  /** Events that are being retried in place. */
  failing: readonly Failure[];
  /** Partitions that are not read, since their watermark does not fit their log. */
  halted: readonly (TopicPartition & Readonly<{ reason: string }>)[];
}> &
  Life;

export type Group = Readonly<{ state(): GroupState; stop(): Promise<void> }>;

type Member = Readonly<{ group: string; handlers: readonly Handler[]; limits: GroupLimits }>;

/** A first join takes 0.2 to 1.2 s; a member that gets no partition is told nothing at all. */
const joinMaxMs = 10_000;

export const startGroup = ({ group, handlers, limits }: Member, deps: GroupDeps): Group => {
  const { log } = deps;
  const assigned = new Map<string, Assignment>();
  const stopping = new AbortController();
  const startedMs = performance.now();
  let isAssigned = false;
  const readers = createReaders(group, deps);
  const isJoined = () => isAssigned || performance.now() - startedMs > joinMaxMs;
  const flow = createFlow(limits, (one) => assigned.get(nameOf(one.at)) === one);

  const onAssign = async (offered: readonly AssignedPartition[]): Promise<Position[]> => {
    const instance = randomUUID();
    const { found, remains } = await awaitStart(
      { group, instance, deadMs: limits.readerDeadMs },
      offered,
      { ...deps, signal: stopping.signal },
    );
    const begun = found.map((one) => {
      const left = remains.find((other) => nameOf(other) === nameOf(one.log));
      return beginAssignment(one, {
        ...deps,
        ...{ group, handlers, instance, admittedMax: limits.admittedMax },
        remains: left,
        onSure: () => void readers.forget(left ? [left] : []),
        onProgress: (assignment) => flow.goOn(assignment, subscriber),
      });
    });
    for (const one of begun) assigned.set(nameOf(one.at), one);
    isAssigned = true;
    return begun.map((one) => one.start);
  };

  const onRecords = (records: readonly KafkaRecord[]): void => {
    for (const [name, batch] of Map.groupBy(records, nameOf)) {
      const assignment = assigned.get(name);
      if (assignment) flow.take(assignment, batch, subscriber);
    }
  };

  const onRevoke = async (partitions: readonly TopicPartition[], lost: boolean): Promise<void> => {
    const leaving = partitions.flatMap((one) => assigned.get(nameOf(one)) ?? []);
    for (const one of leaving) assigned.delete(nameOf(one.at));
    await Promise.all(leaving.map((one) => one.partition?.drain(limits.drainMs)));
    await progress.write(leaving);
    // With partitions that were lost somebody else may have begun while this one was at work.
    const own = leaving.map(({ at, instance }) => ({ ...at, instances: [instance] }));
    if (!lost) await readers.forget(own);
  };

  const topics = [...new Set(handlers.flatMap((handler) => handler.topics))];
  const onError = (error: unknown) => log.warn({ group, err: error }, "the consumer has trouble");
  const subscriber = deps.subscribe(group, topics, { onAssign, onRevoke, onRecords, onError });
  const progress = createProgress({ group, logLookMs: limits.logLookMs }, { ...deps, subscriber });
  const flushing = repeat(limits.watermarkMs, stopping.signal, () =>
    progress.tick([...assigned.values()]),
  );
  const seeing = repeat(limits.readerDeadMs / seenPerDeath, stopping.signal, () =>
    readers.see([...assigned.values()].map((one) => one.instance)),
  );
  const { life, ended } = readers.watch(subscriber, limits.readerDeadMs, stopping.signal);

  return {
    state: () => ({
      group,
      isConnected: subscriber.isHealthy(),
      isJoined: isJoined(),
      ...life(),
      ...countsOf([...assigned.values()]),
    }),
    stop: async () => {
      stopping.abort();
      await subscriber.close();
      await Promise.all([flushing, seeing, ended]);
    },
  };
};

/** A reader is seen so often in the time after which it is taken to have ended. */
const seenPerDeath = 5;

const createReaders = (group: string, { sql, log }: GroupDeps) => {
  const warn = (message: string) => (error: unknown) => log.warn({ group, err: error }, message);
  return {
    /** What is not removed costs the next reader some parked events. */
    forget: (remains: readonly Remains[]): Promise<void> =>
      removeReaders(sql, group, remains).catch(warn("readers could not be removed")),
    see: async (instances: readonly string[]): Promise<void> => {
      if (instances.length === 0) return;
      await seeReaders(sql, group, [...new Set(instances)]).catch(
        warn("readers could not be seen"),
      );
    },
    watch: (subscriber: Subscriber, deadMs: number, signal: AbortSignal) =>
      watchLife({ group, deadMs, subscriber }, { sql, signal }),
  };
};

type Entering = Reader & Readonly<{ deadMs: number }>;
type Suspicious = Remains & Pick<Suspected, "fatal" | "marks">;

/** Enters as a reader, and looks what others have left behind. */
const enterTrial = async (
  sql: Sql,
  { deadMs, ...reader }: Entering,
  partitions: readonly TopicPartition[],
): Promise<Suspicious[]> => {
  const remains = await enterReader(sql, reader, { partitions, deadMs });
  return Promise.all(
    remains.map(async (one) => ({
      ...one,
      fatal: await readMarked(sql, reader, one),
      marks: createMarks(sql, reader, one),
    })),
  );
};

/** Until database and brokers answer: nothing may be consumed from a guessed position. */
const awaitStart = async (
  { group, instance, deadMs }: Entering,
  partitions: readonly TopicPartition[],
  { sql, log, retry, random, signal, readLogs }: GroupDeps & Readonly<{ signal: AbortSignal }>,
): Promise<Readonly<{ found: readonly Found[]; remains: Suspicious[] }>> => {
  for (let failures = 1; ; failures += 1) {
    try {
      const remains = await enterTrial(sql, { group, instance, deadMs }, partitions);
      const found = await findStarts(group, partitions, { sql, readLogs, log });
      if (found) return { found, remains };
    } catch (error) {
      if (signal.aborted) throw error;
      if (isFault(error, "topic_unknown")) {
        // The consumer is built anew, and is offered what there is by then.
        const own = partitions.map((at) => ({ ...at, instances: [instance] }));
        await removeReaders(sql, group, own).catch(() => {});
        throw error;
      }
      log.warn({ group, err: error }, "starts cannot be read; nothing is consumed before");
      await delay(backoffMs(failures, retry, random), undefined, { signal });
    }
  }
};

/**
 * So many records of a partition are held for each that may be admitted. A pause is dear: the
 * client throws away what it has fetched of the partition, and fetches it again only when its
 * request for the others is answered, half a second later if there is nothing new in them.
 */
const heldPerAdmitted = 2;

/** Admits what there is room for, and holds the client back while there is far too much. */
const createFlow = (
  { admittedMax }: GroupLimits,
  isAssigned: (assignment: Assignment) => boolean,
) => {
  const heldMax = admittedMax * heldPerAdmitted;
  const admit = ({ partition, held }: Assignment): void => {
    const room = admittedMax - (partition?.unresolved() ?? 0);
    if (partition && room > 0 && held.length > 0) partition.admit(held.splice(0, room));
  };
  return {
    take: (
      assignment: Assignment,
      records: readonly KafkaRecord[],
      subscriber: Subscriber,
    ): void => {
      const { at, held, partition, isPaused } = assignment;
      if (partition) held.push(...records);
      admit(assignment);
      if (isPaused || (partition && held.length < heldMax)) return;
      assignment.isPaused = true;
      // A few records that the client has fetched already may still come; they are held, too.
      subscriber.pause([at]);
    },
    goOn: (assignment: Assignment, subscriber: Subscriber): void => {
      admit(assignment);
      const isFull = assignment.held.length > heldMax / 2;
      if (!assignment.isPaused || isFull || !isAssigned(assignment)) return;
      assignment.isPaused = false;
      subscriber.resume([assignment.at]);
    },
  };
};

const countsOf = (assignments: readonly Assignment[]) => ({
  partitions: assignments.length,
  unresolved: assignments.reduce((sum, one) => sum + (one.partition?.unresolved() ?? 0), 0),
  failing: assignments.flatMap((one) => one.partition?.failures() ?? []),
  halted: assignments.flatMap(({ at, haltReason: reason }) =>
    reason === undefined ? [] : [{ ...at, reason }],
  ),
});
