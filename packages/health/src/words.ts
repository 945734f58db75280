/** How findings, and what shows them, put numbers and foreign text into words. */

/** `1 event`, `2 events`; with a plus where counting stopped. */
export const many = (count: number, noun: string, countMax = Infinity): string =>
  `${count}${count >= countMax ? "+" : ""} ${noun}${count === 1 ? "" : "s"}`;

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

/** On one line and not too long: control characters would draw on the operator's terminal. */
export const printable = (text: string, lengthMax: number): string => {
  // oxlint-disable-next-line no-control-regex
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "�");
  return clean.length > lengthMax ? `${clean.slice(0, lengthMax - 1)}…` : clean;
};
