/** What a worker counts of its handlers since it started, for whoever asks the database. */

import type { LaneDeps } from "./lane.ts";
import type { RunnerDeps } from "./parking/runner.ts";

export type HandlerCounts = Readonly<{
  /** Events, those of parked keys included. */
  handled: number;
  /** Runs of single events. */
  failed: number;
}>;

export type CountedEvents = Pick<LaneDeps, "onHandled" | "onFailure">;

/** Passes events on to `listeners`, counting them. */
export const createCounts = (handlers: readonly string[], listeners: CountedEvents) => {
  const counts = new Map(handlers.map((name) => [name, { handled: 0, failed: 0 }]));
  const add = (handler: string, what: keyof HandlerCounts, count: number): void => {
    const ofHandler = counts.get(handler);
    if (ofHandler) ofHandler[what] += count;
  };
  const events: Required<CountedEvents & Pick<RunnerDeps, "onFailed">> = {
    onHandled: (handler, handled, durationMs) => {
      add(handler, "handled", handled);
      listeners.onHandled?.(handler, handled, durationMs);
    },
    onFailure: (failure) => {
      add(failure.handler, "failed", 1);
      listeners.onFailure?.(failure);
    },
    onFailed: (handler) => add(handler, "failed", 1),
  };
  return { events, counts: (): ReadonlyMap<string, HandlerCounts> => counts };
};
