/** docs/performance.md: what was measured goes between markers, what was written stays. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LatencyBench, LatencySample } from "./bench-latency.ts";
import type { RelayBench } from "./bench-relay.ts";
import type { WriteBench } from "./bench-write.ts";
import { formatPage } from "../support/format-page.ts";
import { barChart, shown } from "./chart.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

const docs = join(import.meta.dirname, "../../docs");

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
export const table = (
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string =>
  [row(head), row(head.map((_, at) => (at === 0 ? "---" : "--:"))), ...rows.map(row)].join("\n");

export const spread = ({ median, min, max }: Spread, show: (value: number) => string): string =>
  `${show(median)} (${show(min)}-${show(max)})`;

/** Puts `text` in the place of what the command wrote before. */
export const replaceSection = (page: string, name: string, text: string): string => {
  const begin = `<!-- ${name}: written by bun run bench ${name} -->`;
  const end = `<!-- end of ${name} -->`;
  const [head, rest] = page.split(begin);
  const tail = rest?.split(end)[1];
  if (head === undefined || tail === undefined) throw new Error(`performance.md lacks ${begin}`);
  return `${head}${begin}\n\n${text}\n\n${end}${tail}`;
};

export const writeSection = (
  name: string,
  text: string,
  charts: Readonly<Record<string, string>>,
) => {
  const folder = join(docs, "performance");
  if (!existsSync(folder)) mkdirSync(folder);
  for (const [file, svg] of Object.entries(charts)) writeFileSync(join(folder, file), svg);
  const path = join(docs, "performance.md");
  writeFileSync(path, replaceSection(readFileSync(path, "utf8"), name, text));
  formatPage(path);
};

const sayPeer = ({ events, keys }: Readonly<{ events: number; keys: number }>): string =>
  " The peer is the npm package pg-transactional-outbox, polling, with a segment for each key; " +
  `its backlog is ${events.toLocaleString("en-US")} events of ${keys.toLocaleString("en-US")} ` +
  "keys, since it looks through all of it for each batch.";

export const writeRelaySection = (bench: RelayBench): void => {
  const { ways, ratios, events, keys, rounds, checked, peer } = bench;
  const bars = Object.entries(ways).map(([label, one]) => ({ label, spread: one.eventsPerS }));
  const bad = checked.filter((one) => one.problems.length > 0);
  const duplicates = checked.reduce((sum, one) => sum + one.duplicates, 0);
  const text = [
    `${events.toLocaleString("en-US")} events, ${keys.toLocaleString("en-US")} keys, ${rounds} ` +
      `rounds, interleaved; medians with minimum and maximum.${peer ? sayPeer(peer) : ""}`,
    table(
      ["ratio within a round", "median", "min", "max"],
      Object.entries(ratios).map(([name, { median, min, max }]) => [
        name,
        ...[median, min, max].map((value) => value.toFixed(2)),
      ]),
    ),
    "![events a second](performance/relay.svg)",
    table(
      [
        ...["way", "events/s", "client CPU s", "Postgres CPU s", "Kafka CPU s", "WAL MB"],
        "RSS MiB",
      ],
      Object.entries(ways).map(([way, one]) => [
        way,
        spread(one.eventsPerS, shown),
        shown(one.clientCpuS.median),
        shown(one.postgresCpuS.median),
        shown(one.kafkaCpuS.median),
        shown(one.walBytes.median / 1e6),
        one.rssBytes.median > 0 ? Math.round(one.rssBytes.median / 1024 / 1024) : "-",
      ]),
    ),
    "CPU and WAL are for a million events. " +
      (bad.length === 0
        ? "The log of every drain was checked: all events are there, in order for each key, " +
          `${duplicates} duplicates.`
        : `The check of ${bad.length} drains failed: ${bad[0]?.problems[0]}`),
  ].join("\n\n");
  writeSection("relay", text, { "relay.svg": barChart("Drain of a backlog", "events/s", bars) });
};

export const writeLatencySection = (bench: LatencyBench): void => {
  const ms = (value: number) => value.toFixed(1);
  const kinds = Map.groupBy(bench.samples, ({ way, rate }) => `${rate} events/s, ${way}`);
  const medians = [...kinds].map(([label, samples]) => {
    const of = (pick: (sample: LatencySample) => number) => spreadOf(samples.map(pick));
    const p50 = of((one) => one.sinceCommit.p50);
    const p99 = of((one) => one.sinceCommit.p99);
    return {
      label,
      p50,
      cells: [
        ...[p50, p99].map((one) => spread(one, ms)),
        ms(of((one) => one.sinceCommit.p999).median),
        ms(of((one) => one.sinceIntended.p50).median),
        ms(of((one) => one.sinceIntended.p99).median),
        samples.reduce((sum, one) => sum + one.lost, 0),
      ],
    };
  });
  const text = [
    `Milliseconds, medians with minimum and maximum of ${bench.samples.length / kinds.size} ` +
      `rounds of ${bench.seconds} s, one event a transaction, 1,000 keys.`,
    table(
      ["", "p50", "p99", "p99.9", "p50 *", "p99 *", "lost"],
      medians.map(({ label, cells }) => [label, ...cells]),
    ),
    "From the return of the commit to the consumer; with an asterisk from the moment the event " +
      "was to be written, so that a writer that waits hides nothing. `direct`: the writer " +
      "produces to Kafka itself, without Postgres or a relay; no relay can be faster.",
    "![median of the rounds' p50](performance/latency.svg)",
    `An idle relay took ${bench.idleCorePercent.toFixed(2)} % of a core.`,
  ].join("\n\n");
  const bars = medians.map(({ label, p50 }) => ({ label, spread: p50 }));
  const chart = barChart("Commit to consumer, p50", "ms", bars);
  writeSection("latency", text, { "latency.svg": chart });
};

export const writeWriteSection = (bench: WriteBench): void => {
  const bars = bench.clients.flatMap(({ clients, ours, driver, pgbench }) => [
    { label: `Hono, ${clients} clients`, spread: ours },
    { label: `driver, ${clients} clients`, spread: driver },
    { label: `pgbench, ${clients} clients`, spread: pgbench },
  ]);
  const text = [
    `Transactions with one domain row and one event, ${bench.seconds} s a round. The driver is ` +
      "postgres.js in a loop, with the same two statements and nothing of ours around them.",
    table(
      ["clients", "of pgbench", "of the driver", "Hono on Bun, /s", "driver, /s", "pgbench, /s"],
      bench.clients.map(({ clients, ours, driver, pgbench, ratio, ratioToDriver }) => [
        clients,
        ...[ratio, ratioToDriver].map((one) => spread(one, (value) => value.toFixed(2))),
        ...[ours, driver, pgbench].map((one) => shown(one.median)),
      ]),
    ),
    "![transactions a second](performance/write.svg)",
  ].join("\n\n");
  writeSection("write", text, { "write.svg": barChart("Transactions", "tx/s", bars) });
};
