/** Hears of the timers that are due, through a BullMQ worker. */

import type { Log } from "@outrider/event";
import { Worker } from "bullmq";
import type { Redis } from "ioredis";
import { prefix } from "./sender.ts";
import type { TimerData } from "./sender.ts";

export type ReceiverLimits = Readonly<{
  /** Most timers that fire at the same time in this process. */
  dueMax: number;
  /** How long it waits for news before it looks by itself. */
  idleMs: number;
  /** How long a timer that a process took and did not finish is left to it. */
  lockMs: number;
  /** The pause after Redis refused a command. */
  refusedPauseMs: number;
}>;

export type ReceiverDeps = Readonly<{
  /** Of the caller, as are its duplicates: closing leaves them open. */
  client: Redis;
  log: Log;
  onDue(id: string): void;
  /** Both connections have been in use. */
  onUp(): void;
  /** Returns whether the error is a refusal; that Redis could not be asked is none. */
  onError(error: Error): boolean;
}>;

export type Receiver = Readonly<{
  /** Tells Redis what has fired; does not come back from a Redis that is away. */
  close(): Promise<void>;
}>;

export const startReceiver = (
  name: string,
  { client, log, onDue, onUp, onError }: ReceiverDeps,
  limits: ReceiverLimits,
): Receiver => {
  const fire = async ({ data: { id } }: Readonly<{ data: TimerData }>): Promise<void> => {
    try {
      onDue(id);
    } catch (error) {
      log.error({ err: error, timer: id }, "what a timer was for failed");
    }
  };
  const worker = new Worker<TimerData>(name, fire, {
    connection: client,
    prefix,
    concurrency: limits.dueMax,
    drainDelay: limits.idleMs / 1000,
    lockDuration: limits.lockMs,
    stalledInterval: limits.lockMs,
    runRetryDelay: limits.refusedPauseMs,
  });
  let resume: NodeJS.Timeout | undefined;

  worker.once("ready", onUp);
  worker.on("error", (error) => {
    if (!onError(error)) return;
    // BullMQ would try again at once, and without end.
    if (resume) return;
    void worker.pause(true);
    resume = setTimeout(() => {
      resume = undefined;
      void worker.resume();
    }, limits.refusedPauseMs);
  });

  return {
    close: () => {
      clearTimeout(resume);
      return worker.close();
    },
  };
};
