/** The sections of docs/performance.md about a held snapshot and about memory. */

import type { HorizonBench } from "./bench-horizon.ts";
import type { LettersBench } from "./bench-letters.ts";
import type { MemoryBench } from "./bench-memory.ts";
import { barChart } from "./chart.ts";
import { table, writeSection } from "./page.ts";

const count = (value: number): string => value.toLocaleString("en-US");

export const writeHorizonSection = (bench: HorizonBench): void => {
  const { minutes, eventsPerS, burst, samples } = bench;
  const text = [
    `${count(eventsPerS)} events a second; a session holds a snapshot for ${minutes} minutes, so ` +
      `that no removed row can be vacuumed away. Each minute ${count(burst)} events are written ` +
      "at once beside that load, and timed until the last of them is published and removed.",
    table(
      ["minute", "snapshot", "written", "table MiB", "burst ms"],
      samples.map(({ minute, isHeld, written, tableMiB, burstMs }) => [
        minute,
        isHeld ? "held" : "free",
        ...[written, tableMiB, burstMs].map(count),
      ]),
    ),
    "![time to drain a burst](performance/horizon.svg)",
  ].join("\n\n");
  const bars = samples.map(({ minute, isHeld, burstMs }) => ({
    label: `minute ${minute}${isHeld ? ", held" : ""}`,
    spread: { median: burstMs, min: burstMs, max: burstMs },
  }));
  writeSection("horizon", text, { "horizon.svg": barChart("A burst of 20,000", "ms", bars) });
};

export const writeMemorySection = ({ seconds, samples }: MemoryBench): void => {
  const [small, huge] = samples;
  const difference = (huge?.rssMiB ?? NaN) - (small?.rssMiB ?? NaN);
  const text = [
    `The most resident memory of one relay in ${seconds} s, from its start. The small backlog ` +
      "was filled up again as fast as it was drained.",
    table(
      ["events waiting", "published meanwhile", "RSS MiB"],
      samples.map((one) => [count(one.waiting), count(one.published), one.rssMiB]),
    ),
    `Difference: ${difference} MiB.`,
  ].join("\n\n");
  writeSection("memory", text, {});
};

export const writeLettersSection = (bench: LettersBench): void => {
  const { letters, looks, exportMiB, exportMs, createMs, rates } = bench;
  const ms = (value: number) => value.toFixed(1);
  const text = [
    `${count(letters)} open dead letters of 20 handlers and 200 groups; half of them hold a key.`,
    table(
      ["look", "median ms", "longest ms"],
      looks.map((one) => [one.name, ms(one.ms.median), ms(one.ms.max)]),
    ),
    `All of them are exported in ${(exportMs / 1000).toFixed(1)} s, for which the process grows ` +
      `by ${exportMiB} MiB. A redrive of all is made in ${(createMs / 1000).toFixed(1)} s.`,
    table(
      ["letters a second, at most", "redriven a second"],
      rates.map((one) => [count(one.wanted), count(one.lettersPerS)]),
    ),
  ].join("\n\n");
  writeSection("letters", text, {});
};
