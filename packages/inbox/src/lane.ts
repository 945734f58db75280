/**
 * One handler's way through one partition: batches in order, each in its own transaction. A batch
 * that fails is run again one event at a time. An event that fails is parked, and the later ones
 * of its key behind it, so that the partition goes on. Only while an outcome cannot be stored is
 * it retried in place: nothing may be left without one.
 */

import type { Backoff, Log } from "@outrider/event";
import type { Breakers } from "./breaker.ts";
import type { Classified } from "./classify.ts";
import type { Delivery } from "./delivery.ts";
import type { Handler } from "./handler.ts";
import { createRows } from "./rows.ts";
import { queueKeyName } from "./run-batch.ts";
import { createSingles } from "./singles.ts";
import type { BatchResult, Run } from "./run-batch.ts";
import { createTrial } from "./trial.ts";
import type { Suspected } from "./trial.ts";

export type LaneSource = Readonly<{
  /**
   * At least one, at most `max`, leaving out the first `after` of those without an outcome; none at
   * all when the lane is to end.
   */
  take(max: number, after?: number): Promise<readonly Delivery[]>;
  /** The first `count` of those without an outcome have one. */
  resolve(count: number): void;
}>;

/** What a lane does with deliveries of its handler; each call is a transaction. */
export type LaneWork = Readonly<{
  batch(run: Run): Promise<BatchResult>;
  unit(run: Run): Promise<number>;
  /** Writes down that an event has failed and is tried again in place; never throws. */
  noteTry(handler: Handler, delivery: Delivery, failure: Classified): Promise<void>;
  /** Parks an event that has failed, or gives it up. */
  putAway(handler: Handler, delivery: Delivery, error: unknown): Promise<void>;
  /**
   * Parks events before anybody runs them, in order and at once; those that `isSuspect` names may
   * have ended a worker. Returns how many had no outcome yet.
   */
  parkUnrun(
    handler: Handler,
    deliveries: readonly Delivery[],
    isSuspect?: (delivery: Delivery) => boolean,
  ): Promise<number>;
}>;

export type LaneBreakers = Pick<Breakers, "isOpen" | "admit" | "yield" | "succeeded" | "failed">;

export type LaneDeps = Readonly<{
  work: LaneWork;
  breakers: LaneBreakers;
  /** No other handler shares its group: its partitions may wait. */
  isAlone: boolean;
  log: Log;
  /** Pauses while an outcome cannot be stored. */
  retry: Backoff;
  random(): number;
  /** Absent: nobody has ended amid the partition's records. */
  suspected?: Suspected;
  /** Nothing is suspected any more. */
  onSure?(): void;
  /** Aborted: start nothing new. */
  draining: AbortSignal;
  /** Aborted: end what is running too. */
  stopping: AbortSignal;
  onHandled?(handler: string, events: number, durationMs: number): void;
  onFailure?(failure: Failure): void;
}>;

/** A run that failed. */
export type Failure = Readonly<{
  handler: string;
  topic: string;
  partition: number;
  offset: number;
  attempt: number;
  error: unknown;
}>;

/** `failure`: of an event that is retried in place, since its outcome cannot be stored. */
export type Lane = Readonly<{ failure(): Failure | undefined; ended: Promise<void> }>;

export const startLane = (source: LaneSource, handler: Handler, deps: LaneDeps): Lane => {
  const { work, breakers, suspected } = deps;
  const trial = suspected && createTrial(handler, suspected, deps);
  const runs = createRuns(handler, deps, (events) => trial?.handled(events));
  const singles = createSingles(handler, deps, runs.unit);
  const batches = createBatches(handler, { ...deps, runs, singles });
  const sizeMax = () => Math.min(batches.sizeMax(), trial?.sizeMax() ?? Infinity);
  const { resolve } = source;
  const isWanted = (one: Delivery) => one.isFor(handler) && !trial?.isFatal(one);

  /** How many of what was taken have an outcome; none when the lane has to end. */
  const pass = async (taken: readonly Delivery[]): Promise<number> => {
    const first = taken.findIndex(isWanted);
    if (first === -1) return taken.length;
    // One is tried while others wait, here or parked.
    const isOneOnly = breakers.isOpen(handler.name) && deps.isAlone;
    const chosen = isOneOnly ? taken.slice(0, first + 1) : taken;
    const wanted = chosen.filter(isWanted);
    return (await run(wanted)) ? chosen.length : 0;
  };

  /** False when the lane has to end before all have an outcome. */
  const run = (wanted: readonly Delivery[]): Promise<boolean> =>
    trial ? trial.around(wanted, () => runNow(wanted)) : runNow(wanted);

  const runNow = async (wanted: readonly Delivery[]): Promise<boolean> => {
    if (!breakers.isOpen(handler.name)) return batches.handle(wanted);
    return (!deps.isAlone && (await setAside(wanted))) || singles.run(wanted);
  };

  const rows =
    handler.concurrency > 1
      ? createRows(handler, { run, isWanted, sizeMax, resolve, draining: deps.draining })
      : undefined;

  /** False when it could not be stored. */
  const setAside = async (deliveries: readonly Delivery[]): Promise<boolean> => {
    try {
      await work.parkUnrun(handler, deliveries);
      return true;
    } catch {
      return false;
    }
  };

  /** False when the lane has to end. Nothing else of a key runs while it is parked. */
  const meetFatal = async (taken: readonly Delivery[]): Promise<boolean> => {
    if (!trial || !taken.some(trial.isFatal)) return true;
    return (!rows || (await rows.idle())) && trial.meet(taken);
  };

  const live = async (): Promise<void> => {
    if (!trial) deps.onSure?.();
    for (;;) {
      const taken = await source.take(sizeMax() * handler.concurrency, rows?.unresolved());
      if (taken.length === 0) return void (await rows?.idle());
      // While it is held back, what comes next waits for what has begun; asked once, since it may
      // be held back at any moment.
      const isHeld = breakers.isOpen(handler.name);
      if (rows && isHeld && !(await rows.idle())) return;
      if (!(await meetFatal(taken))) return;
      if (rows && !isHeld) {
        rows.add(taken);
        trial?.passed(taken);
        continue;
      }
      const done = await pass(taken);
      if (done === 0) return;
      resolve(done);
      trial?.passed(taken.slice(0, done));
    }
  };

  return { failure: singles.failure, ended: live() };
};

type Parts = LaneDeps &
  Readonly<{
    runs: ReturnType<typeof createRuns>;
    singles: ReturnType<typeof createSingles>;
  }>;

/** Batches that shrink when one fails, and grow again. */
const createBatches = (handler: Handler, { log, runs, singles }: Parts) => {
  let sizeMax = handler.batchSizeMax;

  const grow = (): void => void (sizeMax = Math.min(sizeMax * 2, handler.batchSizeMax));

  /** Of keys that are parked: they are put behind what waits there. */
  const join = async (deliveries: readonly Delivery[]): Promise<boolean> => {
    try {
      await runs.unit(deliveries);
      return true;
    } catch {
      return singles.run(deliveries);
    }
  };

  /** Together, but for keys with an event that the handler is too old for: these one by one. */
  const handle = async (deliveries: readonly Delivery[]): Promise<boolean> => {
    const tooNew = deliveries.filter((one) => one.isOfUnknownVersion(handler));
    if (tooNew.length === 0) return handleKnown(deliveries);
    const keys = new Set(tooNew.map((one) => queueKeyName(handler, one)));
    const isApart = (one: Delivery) => keys.has(queueKeyName(handler, one));
    if (!(await singles.run(deliveries.filter(isApart)))) return false;
    const known = deliveries.filter((one) => !isApart(one));
    return known.length === 0 || handleKnown(known);
  };

  /** Together first; what is parked key by key, and one by one when the rest fails together. */
  const handleKnown = async (deliveries: readonly Delivery[]): Promise<boolean> => {
    if (deliveries.length === 1) {
      if (!(await singles.run(deliveries))) return false;
      // Alone because batches had shrunk to it, or because there was no more.
      grow();
      return true;
    }
    let result: BatchResult;
    try {
      result = await runs.batch(deliveries);
    } catch (error) {
      sizeMax = Math.max(1, Math.floor(sizeMax / 2));
      log.debug({ handler: handler.name, err: error }, "a batch failed; one by one now");
      return singles.run(deliveries);
    }
    if ("handled" in result) {
      grow();
      return true;
    }
    const { parked } = result;
    const byKey = Map.groupBy(deliveries, (one) => queueKeyName(handler, one));
    for (const [key, ofKey] of byKey) {
      if (parked.has(key) && !(await join(ofKey))) return false;
    }
    const free = deliveries.filter((one) => !parked.has(queueKeyName(handler, one)));
    // Another of them may be parked by now.
    return free.length === 0 || handleKnown(free);
  };

  return { handle, sizeMax: () => sizeMax };
};

/** The transactions of a lane, timed and told of. */
const createRuns = (
  handler: Handler,
  { work, breakers, log, stopping, onHandled }: LaneDeps,
  onRun: (handled: number) => void,
) => {
  const timed = async <T>(
    deliveries: readonly Delivery[],
    act: (run: Run) => Promise<T>,
    handledOf: (result: T) => number,
  ): Promise<T> => {
    const startedMs = performance.now();
    const result = await act({ handler, deliveries, attempt: 1, log, stopping });
    const handled = handledOf(result);
    onRun(handled);
    onHandled?.(handler.name, handled, performance.now() - startedMs);
    if (handled > 0) await breakers.succeeded(handler.name);
    return result;
  };
  return {
    unit: (deliveries: readonly Delivery[]) => timed(deliveries, work.unit, (count) => count),
    batch: (deliveries: readonly Delivery[]) =>
      timed(deliveries, work.batch, (result) => ("handled" in result ? result.handled : 0)),
  };
};
