/** Waiting for a condition, with a deadline: there are no bare sleeps in the stack. */

import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";

export type Wait = Readonly<{
  /** For the sentence when time is up: "Kafka to answer". */
  what: string;
  timeoutMs: number;
  pollMs: number;
  signal?: AbortSignal;
}>;

/**
 * Asks until `ask` gives something other than undefined, and gives that. What `ask` throws ends
 * the wait. Throws Fault `timeout` when time is up, and the signal's reason when aborted.
 */
export const waitFor = async <T>(wait: Wait, ask: () => Promise<T | undefined>): Promise<T> => {
  const startedMs = performance.now();
  for (;;) {
    wait.signal?.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() - startedMs > wait.timeoutMs) {
      throw fault("timeout", `Waited ${wait.timeoutMs} ms for ${wait.what}, in vain.`);
    }
    // An aborted delay rejects with an error of its own; the next round throws the reason.
    await delay(wait.pollMs, undefined, { signal: wait.signal }).catch(() => {});
  }
};
