/** Shows one thing: once, or again and again until it is over. */

import { setTimeout as delay } from "node:timers/promises";
import { isFault } from "@outrider/event";
import type { Fault } from "@outrider/event";
import type { Context } from "./main.ts";

/** For scripts: something needs a human. */
export const attentionCode = 3;

/** Between two looks at how far something is. */
export const lookMs = 500;

/** Moves to the top of an empty screen. */
const clearScreen = "\u001b[2J\u001b[H";

export type Look<T> = Readonly<{
  read(): Promise<T>;
  describe(found: T): string;
  /** Nothing will change any more; never, where it is not said. */
  isOver?(found: T): boolean;
  pauseMs?: number;
}>;

/** How a thing is shown. */
export type Showing = Readonly<{ json: boolean; watch: boolean }>;

/** Returns what was found last. */
export const show = async <T>(
  { report, signal, isTerminal }: Context,
  { json, watch: isWatched }: Showing,
  { read, describe, isOver = () => false, pauseMs = lookMs }: Look<T>,
): Promise<T> => {
  let last: Readonly<{ found: T }> | undefined;
  for (;;) {
    try {
      const found = await read();
      last = { found };
      const clear = isWatched && isTerminal ? clearScreen : "";
      report.say(json ? JSON.stringify(found) : `${clear}${describe(found)}`);
      if (!isWatched || isOver(found)) return found;
    } catch (error) {
      if (!last || !passes(error)) throw error;
      if (!json && !signal.aborted) report.say(`\n${error.message}; looking again`);
    }
    if (signal.aborted) return last.found;
    await delay(pauseMs, undefined, { signal }).catch(() => {});
  }
};

/** A screen outlives what is away for a while. */
const passes = (error: unknown): error is Fault =>
  isFault(error, "unavailable") || isFault(error, "timeout") || isFault(error, "too_many_requests");

/** Shows it, and ends well. */
export const watch = async <T>(
  context: Context,
  showing: Showing,
  look: Look<T>,
): Promise<number> => {
  await show(context, showing, look);
  return 0;
};
