/** The sections of docs/performance.md about a held snapshot and about memory. */

import type { HorizonBench } from "./bench-horizon.ts";
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
