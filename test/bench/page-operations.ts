/** The section of docs/performance.md about the operations API. */

import { recordsOnKafka } from "./bench-operations.ts";
import type { Looked, OperationsBench } from "./bench-operations.ts";
import { table, writeSection } from "./page.ts";

const count = (value: number): string => value.toLocaleString("en-US");
const ms = (value: number): string => value.toFixed(1);

/** Faster ones are not listed one by one. */
const listedMs = 15;

const rowsOf = (looks: readonly Looked[]) =>
  table(
    ["", "median ms", "longest ms"],
    looks
      .toSorted((a, b) => b.ms.median - a.ms.median)
      .map((one) => [one.name, ms(one.ms.median), ms(one.ms.max)]),
  );

export const writeOperationsSection = (bench: OperationsBench): void => {
  const { each, inbox, runs, lists, lives, onKafka, previews } = bench;
  const slow = lists.filter((one) => one.ms.median >= listedMs);
  const fast = lists.filter((one) => one.ms.median < listedMs);
  const longest = Math.max(...fast.map((one) => one.ms.max));
  const text = [
    `${count(each)} parked keys, dead letters, waiting events and lines of the audit each, ` +
      `${count(inbox)} inbox rows of 20 handlers; the slowest first, ${runs} runs of each.`,
    `Lists, with every filter: ${lists.length} questions. ${fast.length} of them, not shown, ` +
      `took less than ${listedMs} ms as a median, and ${ms(longest)} ms at the longest.`,
    rowsOf(slow),
    "The life of an event, without Kafka:",
    rowsOf(lives),
    `With Kafka, and ${count(recordsOnKafka)} records in the topic:`,
    rowsOf(onKafka),
    "What a redrive would do, for which all letters that match are read and decoded:",
    rowsOf(previews),
  ].join("\n\n");
  writeSection("operations", text, {});
};
