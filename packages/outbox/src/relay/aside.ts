/**
 * Topics that are set aside so that the others of the shard go on. Two kinds: a topic whose
 * records are on their way and not acknowledged in time (their rows stay in memory until they
 * are), and a topic that Kafka refuses as a whole, which is tried again after a while.
 * Reads leave these topics out, so whoever takes one back resets the scan floor.
 */

import { backoffMs } from "@outrider/event";
import type { Backoff, Delivery } from "@outrider/event";
import type { PendingRow } from "./read.ts";

/** Records of one topic on their way. */
export type Flight = Readonly<{
  topic: string;
  rows: readonly PendingRow[];
  /** The block that the rows waited behind; absent for rows of the outbox. */
  block?: string | undefined;
  delivery: Delivery;
}>;

/** Flights that were not acknowledged in time; they belong to one lease and its producer. */
export type Stuck = Readonly<{
  add(flight: Flight): void;
  flights(): readonly Flight[];
  topics(): string[];
  /** Of the rows in memory. */
  bytes(): number;
  /** Takes back what has been acknowledged meanwhile. Throws what the delivery was refused with. */
  takeDone(): Flight[];
}>;

export const bytesOf = (rows: readonly PendingRow[]): number =>
  rows.reduce((sum, row) => sum + row.payload.length, 0);

export const createStuck = (onChange: () => void): Stuck => {
  const flights = new Set<Flight>();
  const done = new Set<Flight>();
  let failure: unknown;
  return {
    add: (flight) => {
      flights.add(flight);
      const settled = () => {
        done.add(flight);
        onChange();
      };
      const failed = (error: unknown) => {
        failure ??= error;
        onChange();
      };
      flight.delivery.done.then(settled, failed);
    },
    flights: () => [...flights],
    topics: () => [...flights].map((flight) => flight.topic),
    bytes: () => [...flights].reduce((sum, flight) => sum + bytesOf(flight.rows), 0),
    takeDone: () => {
      if (failure !== undefined) throw failure;
      const taken = [...done];
      done.clear();
      for (const flight of taken) flights.delete(flight);
      return taken;
    },
  };
};

/** Topics that were refused; they outlive a lease, since refusing ends it. */
export type Refused = Readonly<{
  add(topic: string, error: unknown): void;
  topics(): string[];
  /** Topics that are to be tried again now; they are no longer set aside. */
  takeDue(): string[];
  /** These rows were published: their topics work again. */
  forget(rows: readonly PendingRow[]): void;
  errors(): Readonly<{ topic: string; error: unknown }>[];
}>;

type Refusal = { failures: number; dueMs: number; isAside: boolean; error: unknown };

export const createRefused = (
  { monotonicMs, onDue }: Readonly<{ monotonicMs(): number; onDue(): void }>,
  retry: Backoff,
): Refused => {
  const refusals = new Map<string, Refusal>();
  return {
    add: (topic, error) => {
      const failures = (refusals.get(topic)?.failures ?? 0) + 1;
      const pauseMs = backoffMs(failures, retry);
      refusals.set(topic, { failures, dueMs: monotonicMs() + pauseMs, isAside: true, error });
      setTimeout(onDue, pauseMs + 1).unref();
    },
    topics: () => [...refusals].filter(([, one]) => one.isAside).map(([topic]) => topic),
    takeDue: () => {
      const nowMs = monotonicMs();
      const due = [...refusals].filter(([, one]) => one.isAside && one.dueMs <= nowMs);
      for (const [, one] of due) one.isAside = false;
      return due.map(([topic]) => topic);
    },
    forget: (rows) => {
      if (refusals.size === 0) return;
      for (const row of rows) refusals.delete(row.topic);
    },
    errors: () => [...refusals].map(([topic, { error }]) => ({ topic, error })),
  };
};
