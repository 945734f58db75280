/** Sets timers: one delayed job each. */

import { randomUUID } from "node:crypto";
import { fault, within } from "@outrider/event";
import type { Timer } from "@outrider/event";
import { Queue } from "bullmq";
import type { BulkJobOptions } from "bullmq";
import type { Redis } from "ioredis";

export type SenderLimits = Readonly<{
  /** Most timers in one message to Redis. */
  batchMax: number;
  /** How long Redis may take to accept a batch. */
  setTimeoutMs: number;
  /** About how many entries BullMQ keeps of what happened in a queue. */
  eventsMax: number;
}>;

export type Sender = Readonly<{
  /** Throws Fault `unavailable` where Redis is away, `timeout` where it does not answer. */
  set(timers: readonly Timer[]): Promise<void>;
  /** Writes without setting a timer: throws as `set` would. */
  probe(): Promise<void>;
  close(): Promise<void>;
}>;

/** What its jobs carry. */
export type TimerData = Readonly<{ id: string }>;

/** Before every key of ours. */
export const prefix = "outrider";

/** BullMQ takes no colon; nor do we take what looks like another queue's name. */
export const checkName = (queue: string): void => {
  if (/^[\w.-]+$/.test(queue)) return;
  throw fault("settings_invalid", `"${queue}" cannot be the name of a queue of timers`);
};

/** `client` is the caller's, and impatient: closing leaves it open. */
export const createSender = (name: string, client: Redis, limits: SenderLimits): Sender => {
  const queue = new Queue<TimerData>(name, {
    connection: client,
    prefix,
    // What it would do at its start fails for good where Redis is away at that moment.
    ...{ skipVersionCheck: true, skipWaitingForReady: true, skipMetasUpdate: true },
  });
  // The connection's owner hears of them, too.
  queue.on("error", () => {});

  // Every time, since a Redis that lost its data would keep ten thousand events of each queue.
  const bound = () => queue.getBackend().setQueueMeta({ "opts.maxLenEvents": limits.eventsMax });

  const inTime = async (work: Promise<unknown>): Promise<void> => {
    const result = await within(limits.setTimeoutMs, work).catch((cause: unknown) => {
      throw fault("unavailable", "Redis did not take the timers", { cause });
    });
    if (result !== "late") return;
    // Ends what waits for an answer, too: nothing piles up in front of a Redis that hangs.
    client.disconnect(true);
    throw fault("timeout", `Redis took no timers within ${limits.setTimeoutMs} ms`);
  };

  return {
    set: async (timers) => {
      for (let at = 0; at < timers.length; at += limits.batchMax) {
        const batch = timers.slice(at, at + limits.batchMax).map(jobOf);
        await inTime(Promise.all([bound(), queue.addBulk(batch)]));
      }
    },
    probe: () => inTime(bound()),
    close: () => queue.close(),
  };
};

type BulkJob = Readonly<{ name: string; data: TimerData; opts: BulkJobOptions }>;

const jobOf = ({ id, delayMs }: Timer): BulkJob => ({
  name: "timer",
  data: { id },
  opts: {
    // BullMQ ignores a job whose id it still knows, and refuses a colon in one.
    jobId: `${id.replaceAll(":", "_")}-${randomUUID()}`,
    // Rounded up, so that none is early.
    delay: Math.max(0, Math.ceil(delayMs)),
    ...{ attempts: 1, removeOnComplete: true, removeOnFail: true },
  },
});
