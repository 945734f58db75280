/** Events of a lane one by one, each until it has an outcome that is stored. */

import { setTimeout as delay } from "node:timers/promises";
import { backoffMs } from "@outrider/event";
import { classify } from "./classify.ts";
import type { Delivery } from "./delivery.ts";
import type { Handler } from "./handler.ts";
import type { Failure, LaneDeps } from "./lane.ts";
import { queueKeyName } from "./run-batch.ts";

/** Tries in place of what something else is to blame for, before the event is parked. */
const transientTries = 3;

/** `runUnit` is a transaction; false from `run`: the lane has to end before all have an outcome. */
export const createSingles = (
  handler: Handler,
  { work, breakers, isAlone, log, retry, random, draining, stopping, onFailure }: LaneDeps,
  runUnit: (deliveries: readonly Delivery[]) => Promise<unknown>,
) => {
  let failure: Failure | undefined;

  const note = (delivery: Delivery, attempt: number, error: unknown): void => {
    const { topic, partition, offset } = delivery.record;
    failure = { handler: handler.name, topic, partition, offset, attempt, error };
    onFailure?.(failure);
    log.warn({ ...failure, error: undefined, err: error }, "a handler failed");
  };

  /** Runs one event; what fails is parked or given up. Throws when neither can be stored. */
  const tryOne = async (delivery: Delivery, attempt: number): Promise<boolean> => {
    if (!isAlone && breakers.isOpen(handler.name)) {
      await work.parkUnrun(handler, [delivery]);
      return true;
    }
    const admitted = await breakers.admit(handler.name, draining);
    if (!admitted) return false;
    try {
      return await runOne(delivery, attempt);
    } finally {
      // It may have had an outcome before, or have joined a key that is parked.
      if (admitted === "one") await breakers.yield(handler.name);
    }
  };

  const runOne = async (delivery: Delivery, attempt: number): Promise<boolean> => {
    try {
      await runUnit([delivery]);
      return true;
    } catch (error) {
      if (stopping.aborted) return false;
      note(delivery, attempt, error);
      const classified = classify(error);
      // It says nothing of the handler, and waiting here would help nobody.
      if (classified.kind === "deployment") {
        await work.putAway(handler, delivery, error);
        return true;
      }
      // The same event's next failure says nothing new.
      if (attempt === 1 || breakers.isOpen(handler.name)) {
        await breakers.failed(handler.name, queueKeyName(handler, delivery), classified);
      }
      if (classified.kind === "transient" && attempt < transientTries) {
        await work.noteTry(handler, delivery, classified);
        throw error;
      }
      await work.putAway(handler, delivery, error);
      return true;
    }
  };

  /** False when the lane has to end before the event has an outcome. */
  const single = async (delivery: Delivery): Promise<boolean> => {
    for (let attempt = 1; !draining.aborted; attempt += 1) {
      try {
        const isDone = await tryOne(delivery, attempt);
        failure = undefined;
        return isDone;
      } catch (error) {
        log.debug({ handler: handler.name, err: error }, "an event is tried again in place");
        const pauseMs = backoffMs(attempt, retry, random);
        // Ends early when the lane is to end.
        await delay(pauseMs, undefined, { signal: draining }).catch(() => {});
      }
    }
    return false;
  };

  const run = async (deliveries: readonly Delivery[]): Promise<boolean> => {
    for (const delivery of deliveries) if (!(await single(delivery))) return false;
    return true;
  };

  return { failure: () => failure, run };
};
