/** The section of docs/performance.md about handlers. */

import type { ConsumeBench } from "./bench-consume.ts";
import { barChart, shown } from "./chart.ts";
import { spread, table, writeSection } from "./page.ts";

const count = (value: number): string => value.toLocaleString("en-US");

export const writeConsumeSection = (bench: ConsumeBench): void => {
  const { events, keys, partitions, rounds, ways, ratios, batches } = bench;
  const bars = Object.entries(ways).map(([label, one]) => ({ label, spread: one.eventsPerS }));
  const text = [
    `${count(events)} events, ${count(keys)} keys, ${partitions} partitions, ${rounds} rounds, ` +
      "interleaved; medians with minimum and maximum.",
    table(
      ["ratio within a round", "median", "min", "max"],
      Object.entries(ratios).map(([name, { median, min, max }]) => [
        name,
        ...[median, min, max].map((value) => value.toFixed(2)),
      ]),
    ),
    "![events a second](performance/consume.svg)",
    table(
      [
        ...["way", "events/s", "batch", "worker CPU s", "Postgres CPU s", "Kafka CPU s"],
        ...["WAL MB", "RSS MiB"],
      ],
      Object.entries(ways).map(([way, one]) => [
        way,
        spread(one.eventsPerS, shown),
        count(batches[way]?.median ?? NaN),
        shown(one.clientCpuS.median),
        shown(one.postgresCpuS.median),
        shown(one.kafkaCpuS.median),
        shown(one.walBytes.median / 1e6),
        Math.round(one.rssBytes.median / 1024 / 1024),
      ]),
    ),
    "CPU and WAL are for a million events; batch is the median size of a transaction, or of a " +
      "fetch. After each round of ours the inbox had one row per event, all of them handled, and " +
      "the effect was that of every event once and in order; otherwise the command fails.",
  ].join("\n\n");
  writeSection("consume", text, {
    "consume.svg": barChart("Handling a topic", "events/s", bars),
  });
};
