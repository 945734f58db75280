/** Shows one thing: once, or again and again until it is over. */

import { setTimeout as delay } from "node:timers/promises";
import type { Context } from "./main.ts";

/** For scripts: something needs a human. */
export const attentionCode = 3;

/** Between two looks at how far something is. */
export const lookMs = 500;

/** Moves to the top of an empty screen. */
export const clearScreen = "\u001b[2J\u001b[H";

export type Look<T> = Readonly<{
  read(): Promise<T>;
  describe(found: T): string;
  isOver(found: T): boolean;
}>;

/** Returns what was found last. */
export const show = async <T>(
  { report, signal }: Context,
  { json, watch }: Readonly<{ json: boolean; watch: boolean }>,
  { read, describe, isOver }: Look<T>,
): Promise<T> => {
  for (;;) {
    const found = await read();
    const clear = watch ? clearScreen : "";
    report.say(json ? JSON.stringify(found) : `${clear}${describe(found)}`);
    if (!watch || isOver(found) || signal.aborted) return found;
    await delay(lookMs, undefined, { signal }).catch(() => {});
  }
};
