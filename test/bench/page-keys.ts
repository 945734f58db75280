/** The section of docs/performance.md about keys in trouble. */

import type { KeysBench } from "./bench-keys.ts";
import { barChart, shown } from "./chart.ts";
import { slowMs } from "./key-trouble.ts";
import { spread, table, writeSection } from "./page.ts";

const titles = { beside: "in its partition", elsewhere: "elsewhere" } as const;

export const writeKeysSection = (bench: KeysBench): void => {
  const { rate, keys, seconds, rounds, partitions, ways, lost } = bench;
  const rows = Object.entries(ways).flatMap(([way, figures]) =>
    (["beside", "elsewhere"] as const).map((place) => ({
      ...figures[place],
      label: `${way}, ${titles[place]}`,
    })),
  );
  const ratio = (value: number) => value.toFixed(2);
  const text = [
    `${rate} events a second over ${keys.toLocaleString("en-US")} keys and ${partitions} ` +
      `partitions, ${seconds} s a round, ${rounds} rounds, interleaved. Milliseconds from when ` +
      "an event was to be written to Kafka to the commit of its handler, of the keys without " +
      "trouble; medians with minimum and maximum, and the ratio to the calm run of the round.",
    table(
      ["other keys", "p50", "p99", "p50 / calm", "p99 / calm"],
      rows.map(({ label, p50, p99, p50Ratio, p99Ratio }) => [
        label,
        ...[p50, p99].map((one) => spread(one, shown)),
        ...[p50Ratio, p99Ratio].map((one) => spread(one, ratio)),
      ]),
    ),
    "![p99 of the other keys](performance/keys.svg)",
    "Three keys of one partition get an event a second each, in every way. `slow`: the events " +
      `of one of them take ${slowMs} ms each. \`failing\`: the first event of one fails at every ` +
      "try and is parked; the first one of another is poisoned, buried, and holds its key. " +
      `Not handled a minute after the last one was written: ${lost} events of other keys. All ` +
      "others were handled once and in order; otherwise the command fails.",
  ].join("\n\n");
  const bars = rows.map(({ label, p99 }) => ({ label, spread: p99 }));
  writeSection("keys", text, { "keys.svg": barChart("Other keys, p99", "ms", bars) });
};
