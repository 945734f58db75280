/**
 * How a lane runs what an earlier reader of its partition may have ended of. What was on record
 * then is parked as suspect, and runs in a process of its own. Everything else runs as ever, but
 * each transaction is on record while it runs: so whatever ends this process is among the few that
 * are on record then, and nobody else is suspected.
 */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@outrider/event";
import type { Delivery } from "./delivery.ts";
import type { Handler } from "./handler.ts";
import type { LaneDeps } from "./lane.ts";
import { queueKeyName } from "./run-batch.ts";
import type { Marks, Offsets } from "./trials.ts";

/** Records that an earlier reader may have been running when it ended. */
export type Suspected = Readonly<{
  /** At most so many of them have no outcome. */
  count: number;
  /** They are below this offset. */
  before: number;
  /** Those that were on record. */
  fatal: Offsets;
  marks: Marks;
}>;

export type Trial = Readonly<{
  /** Most events of one transaction: few, since so many are suspect when the process ends. */
  sizeMax(): number;
  /** It was on record: nothing of it may run here, not even its decoding. */
  isFatal(delivery: Delivery): boolean;
  /**
   * Parks those that were on record, with all that was taken of their keys. False: the lane has to
   * end before it could be stored.
   */
  meet(taken: readonly Delivery[]): Promise<boolean>;
  /** Acts with the deliveries on record. False: the lane has to end, or `act` says so. */
  around(deliveries: readonly Delivery[], act: () => Promise<boolean>): Promise<boolean>;
  /** So many events had no outcome and have been run. */
  handled(events: number): void;
  /** These, and all before them, are run or about to be run. */
  passed(taken: readonly Delivery[]): void;
}>;

type TrialDeps = Pick<LaneDeps, "work" | "log" | "retry" | "random" | "draining" | "onSure">;

export const createTrial = (
  handler: Handler,
  { count, before, marks, ...suspected }: Suspected,
  { work, log, retry, random, draining, onSure }: TrialDeps,
): Trial => {
  const fatal = suspected.fatal.get(handler.name) ?? new Set<number>();
  const fatalLast = Math.max(-1, ...fatal);
  const size = Math.ceil(handler.batchSizeMax ** 0.6);
  let left = count;
  let isBehind = false;
  let isSure = false;

  /** Until it is stored: nothing may run before. */
  const store = async (act: () => Promise<unknown>): Promise<boolean> => {
    for (let failures = 1; !draining.aborted; failures += 1) {
      try {
        await act();
        return true;
      } catch (error) {
        log.warn({ handler: handler.name, err: error }, "suspect events could not be written down");
        const pauseMs = backoffMs(failures, retry, random);
        await delay(pauseMs, undefined, { signal: draining }).catch(() => {});
      }
    }
    return false;
  };

  const isFatal = ({ record }: Delivery): boolean => fatal.has(record.offset);

  return {
    sizeMax: () => (left > 0 && !isBehind ? size : handler.batchSizeMax),
    isFatal,
    meet: async (taken) => {
      const met = taken.filter((one) => isFatal(one) && one.isFor(handler));
      if (met.length === 0) return true;
      // All of their keys, at once: somebody may run what is parked before the others are.
      const keys = new Set(met.map((one) => queueKeyName(handler, one)));
      const isOfKey = (one: Delivery) => one.isFor(handler) && keys.has(queueKeyName(handler, one));
      return store(() => work.parkUnrun(handler, taken.filter(isOfKey), isFatal));
    },
    around: async (deliveries, act) => {
      const offsets = deliveries.map(({ record }) => record.offset).filter((one) => one < before);
      const [first] = offsets;
      if (left <= 0 || first === undefined) return act();
      if (!(await store(() => marks.put(handler.name, offsets)))) return false;
      const isDone = await act();
      // One that stays says nothing new: what it names has an outcome.
      marks.remove(handler.name, first).catch(() => {});
      return isDone;
    },
    handled: (events) => {
      left -= events;
    },
    passed: (taken) => {
      const last = taken.at(-1)?.record.offset ?? -1;
      isBehind ||= last >= before - 1;
      if (isSure || (!isBehind && (left > 0 || last < fatalLast))) return;
      isSure = true;
      onSure?.();
    },
  };
};
