/** Aligned columns for people; numbers to the right. */

import { duration } from "@outrider/health";

export type Cell = string | number;

export const textTable = (head: readonly string[], rows: readonly (readonly Cell[])[]): string => {
  const shown = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, column) => Math.max(...shown.map((row) => row[column]?.length ?? 0)));
  const isNumber = head.map((_, column) => rows.every((row) => typeof row[column] === "number"));
  return shown
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return isNumber[column] ? cell.padStart(width) : cell.padEnd(width);
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
};

/** A line of a page about one thing. */
export const field = (name: string, value: Cell): string => `${name.padEnd(10)} ${value}`;

/** How long ago a time was that comes as a text. */
export const ago = (at: string, nowMs: number): string => `${duration(nowMs - Date.parse(at))} ago`;

/** `in 4.2 s`, or how long ago. */
export const whenOf = (at: string, nowMs: number): string => {
  const inMs = Date.parse(at) - nowMs;
  return inMs > 0 ? `in ${duration(inMs)}` : ago(at, nowMs);
};
