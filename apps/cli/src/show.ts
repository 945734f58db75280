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

/** How a list is shown: so many of it, from the cursor on that the page before has given. */
export type Listing = Showing & Readonly<{ limit: number; cursor?: string | undefined }>;

/** Returns what was found last. */
export const show = async <T>(
  { report, signal }: Context,
  { json, watch: isWatched }: Showing,
  { read, describe, isOver = () => false, pauseMs = lookMs }: Look<T>,
): Promise<T> => {
  let last: Readonly<{ found: T }> | undefined;
  for (;;) {
    try {
      const found = await read();
      last = { found };
      const clear = isWatched ? clearScreen : "";
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

export type Listed<T> = Readonly<{ items: readonly T[]; next: string | null }>;

/** Most entries of one page that the API gives. */
const pageMax = 1000;

/** As many entries as are wanted, page by page. */
export const collect = async <T>(
  { limit, cursor }: Pick<Listing, "limit" | "cursor">,
  read: (page: { limit: string; cursor?: string }) => Promise<Listed<T>>,
): Promise<Listed<T>> => {
  const items: T[] = [];
  let next = cursor ?? null;
  do {
    const size = String(Math.min(pageMax, limit - items.length));
    const page: Listed<T> = await read({ limit: size, ...(next !== null && { cursor: next }) });
    items.push(...page.items);
    next = page.next;
  } while (next !== null && items.length < limit);
  return { items, next };
};

/** A table, and how to see what comes behind it. */
export const withMore = (table: string, { next }: Pick<Listed<unknown>, "next">): string =>
  next === null ? table : `${table}\n\nmore with --cursor ${next}`;
