/** The section of docs/performance.md about keys in trouble. */

import type { KeysBench } from "./bench-keys.ts";
import { barChart, shown } from "./chart.ts";
import { slowMs } from "./key-trouble.ts";
import { spread, table, writeSection } from "./page.ts";

const ratio = (value: number): string => value.toFixed(2);

export const writeKeysSection = (bench: KeysBench): void => {
  const { rate, keys, seconds, rounds, partitions, ways, lost } = bench;
  const all = Object.entries(ways);
  const text = [
    `${rate} events a second over ${keys.toLocaleString("en-US")} keys and ${partitions} ` +
      `partitions, ${seconds} s a run, ${rounds} rounds, each begun with another way. Medians ` +
      "with minimum and maximum.",
    table(
      [
        ...["ratio", "p50 beside / elsewhere", "p99 beside / elsewhere"],
        ...["p50 elsewhere / calm", "p99 elsewhere / calm"],
      ],
      all.map(([way, { within, toCalm }]) => [
        way,
        ...[within.p50, within.p99, toCalm.p50, toCalm.p99].map((one) => spread(one, ratio)),
      ]),
    ),
    "![p99 of the other keys](performance/keys.svg)",
    table(
      ["ms", "p50 beside", "p99 beside", "p50 elsewhere", "p99 elsewhere"],
      all.map(([way, { beside, elsewhere }]) => [
        way,
        ...[beside.p50, beside.p99, elsewhere.p50, elsewhere.p99].map((one) => spread(one, shown)),
      ]),
    ),
    "From when an event was to be written to Kafka to the commit of its handler, of the keys " +
      "without trouble: `beside` are those in the partition of the troubled ones, `elsewhere` " +
      "all others. Three keys of one partition get an event a second each, in every way. " +
      `\`slow\`: the events of one of them take ${slowMs} ms each; \`8 at once\` is a handler ` +
      "with `concurrency` 8. `failing`: the first event of one fails at every try and is " +
      "parked; the first one of another is poisoned, buried, and holds its key. " +
      `${lost} events of other keys were not handled a minute after the last ` +
      "one was written; what was handled, was once and in order: otherwise the command fails.",
  ].join("\n\n");
  const bars = all.flatMap(([way, { beside, elsewhere }]) => [
    { label: `${way}, beside`, spread: beside.p99 },
    { label: `${way}, elsewhere`, spread: elsewhere.p99 },
  ]);
  writeSection("keys", text, { "keys.svg": barChart("Other keys, p99", "ms", bars) });
};
