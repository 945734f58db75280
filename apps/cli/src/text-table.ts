/** Aligned columns for people; numbers to the right. */

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

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["min", 60_000],
  ["s", 1000],
] as const;

/** `3 ms`, `4.2 s`, `17 min`, `5 h`, `2 d`. */
export const duration = (ms: number): string => {
  for (const [unit, size] of units) {
    if (ms < size) continue;
    const value = ms / size;
    return `${unit === "s" && value < 10 ? value.toFixed(1) : Math.floor(value)} ${unit}`;
  }
  return `${Math.max(0, Math.round(ms))} ms`;
};

/** How long ago a time was that comes as a text. */
export const ago = (at: string, nowMs: number): string => `${duration(nowMs - Date.parse(at))} ago`;

/** `in 4.2 s`, or how long ago. */
export const whenOf = (at: string, nowMs: number): string => {
  const inMs = Date.parse(at) - nowMs;
  return inMs > 0 ? `in ${duration(inMs)}` : ago(at, nowMs);
};

/** Control characters would draw on the operator's terminal. */
export const printable = (text: string, lengthMax: number): string => {
  // oxlint-disable-next-line no-control-regex
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "�");
  return clean.length > lengthMax ? `${clean.slice(0, lengthMax - 1)}…` : clean;
};
