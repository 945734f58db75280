/** Whether Redis is there, and a line in the log for each time that this changes. */

import type { Log } from "@outrider/event";
import { meaningOf } from "./refusal.ts";

/** What is watched of a connection. */
export type Watched = Readonly<{
  on(event: "ready" | "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}>;

export type Presence = Readonly<{
  watch(connection: Watched): void;
  /** Asks `isReady` again. */
  look(): void;
  /** True for the error that a connection ended with, which is told as an absence already. */
  isLoss(error: Error): boolean;
  /** Why timers cannot be set while it is away, in words. */
  reason(): string;
  /** It says no more. */
  stop(): void;
}>;

export type PresenceOptions = Readonly<{
  log: Log;
  /** All connections are in use. */
  isReady(): boolean;
  /** A loss that is mended sooner is not told. */
  graceMs: number;
}>;

export const createPresence = ({ log, isReady, graceMs }: PresenceOptions): Presence => {
  const losses = new WeakSet<Error>();
  let lastLoss: Error | undefined;
  let isTold = false;
  let isStopped = false;
  let grace: NodeJS.Timeout | undefined;

  const tellAway = (): void => {
    grace = undefined;
    if (isReady() || isTold) return;
    isTold = true;
    log.warn({ err: lastLoss }, `${reason()}: timers cannot be set, and none fires`);
  };

  const reason = (): string => {
    const meaning = lastLoss && meaningOf(lastLoss);
    return meaning === undefined ? "Redis is away" : `Redis lets nobody in: ${meaning}`;
  };

  const look = (): void => {
    if (isStopped || !isReady()) return;
    lastLoss = undefined;
    if (isTold) log.info({}, "Redis is back");
    isTold = false;
  };

  return {
    watch: (connection) => {
      connection.on("error", (error) => {
        losses.add(error);
        lastLoss = error;
      });
      connection.on("close", () => {
        if (!isStopped) grace ??= setTimeout(tellAway, graceMs);
      });
      connection.on("ready", look);
    },
    look,
    isLoss: (error) => losses.has(error),
    reason,
    stop: () => {
      isStopped = true;
      clearTimeout(grace);
    },
  };
};
