/**
 * One handler's way through one partition: batches in order, each in its own transaction. A batch
 * that fails is run again one event at a time, and an event that fails is retried in place, since
 * the next event of its key must not run before it.
 */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@outrider/event";
import type { Backoff, Log } from "@outrider/event";
import type { Delivery } from "./delivery.ts";
import type { Handler } from "./handler.ts";
import { runBatch } from "./run-batch.ts";
import type { Transact } from "./run-batch.ts";

export type LaneSource = Readonly<{
  /** At least one, at most `max`; none at all when the lane is to end. */
  take(max: number): Promise<readonly Delivery[]>;
  /** The first `count` of what was taken have an outcome. */
  resolve(count: number): void;
}>;

export type LaneDeps = Readonly<{
  transact: Transact;
  log: Log;
  retry: Backoff;
  random(): number;
  /** Aborted: start nothing new. */
  draining: AbortSignal;
  /** Aborted: end what is running too. */
  stopping: AbortSignal;
  onHandled?(handler: string, events: number, durationMs: number): void;
  onFailure?(failure: Failure): void;
}>;

/** An event that is being retried in place. */
export type Failure = Readonly<{
  handler: string;
  topic: string;
  partition: number;
  offset: number;
  attempt: number;
  error: unknown;
}>;

export type Lane = Readonly<{ failure(): Failure | undefined; ended: Promise<void> }>;

export const startLane = (source: LaneSource, handler: Handler, deps: LaneDeps): Lane => {
  let failure: Failure | undefined;
  let sizeMax = handler.batchSizeMax;

  const attempt = async (deliveries: readonly Delivery[], count: number): Promise<void> => {
    const startedMs = performance.now();
    const run = { handler, deliveries, attempt: count, log: deps.log, stopping: deps.stopping };
    const events = await runBatch(deps.transact, run);
    deps.onHandled?.(handler.name, events, performance.now() - startedMs);
  };

  const grow = (): void => {
    sizeMax = Math.min(sizeMax * 2, handler.batchSizeMax);
  };

  /** How many attempts it took; undefined when the lane has to end before the event succeeded. */
  const retry = async (delivery: Delivery): Promise<number | undefined> => {
    for (let count = 1; !deps.draining.aborted; count += 1) {
      try {
        await attempt([delivery], count);
        failure = undefined;
        return count;
      } catch (error) {
        const { topic, partition, offset } = delivery.record;
        failure = { handler: handler.name, topic, partition, offset, attempt: count, error };
        deps.onFailure?.(failure);
        deps.log.warn(
          { ...failure, error: undefined, err: error },
          "a handler failed; it is retried",
        );
        const pauseMs = backoffMs(count, deps.retry, deps.random);
        // Ends early when the lane is to end.
        await delay(pauseMs, undefined, { signal: deps.draining }).catch(() => {});
      }
    }
    return undefined;
  };

  /** Together first; one by one when that fails, which counts as nobody's attempt. */
  const handle = async (deliveries: readonly Delivery[]): Promise<boolean> => {
    if (deliveries.length > 1) {
      try {
        await attempt(deliveries, 1);
        grow();
        return true;
      } catch (error) {
        sizeMax = Math.max(1, Math.floor(sizeMax / 2));
        deps.log.debug({ handler: handler.name, err: error }, "a batch failed; one by one now");
      }
    }
    for (const delivery of deliveries) {
      const attempts = await retry(delivery);
      if (attempts === undefined) return false;
      // Alone because batches had shrunk to it, or because there was no more.
      if (attempts === 1 && deliveries.length === 1) grow();
    }
    return true;
  };

  const live = async (): Promise<void> => {
    for (;;) {
      const taken = await source.take(sizeMax);
      if (taken.length === 0) return;
      const wanted = taken.filter((delivery) => delivery.isFor(handler));
      if (wanted.length > 0 && !(await handle(wanted))) return;
      source.resolve(taken.length);
    }
  };

  return { failure: () => failure, ended: live() };
};
