/** What came of a run, as a piece of docs/faults.md. */

import type { ChaosReport } from "./run-chaos.ts";

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;

const table = (head: readonly [string, string], rows: readonly (readonly [string, number])[]) =>
  [row(head), row(["---", "--:"]), ...rows.map((cells) => row(cells))].join("\n");

const mebibytes = (bytes: number): number => Math.round(bytes / 1024 / 1024);

export const reportText = (report: ChaosReport): string => {
  const { bank, operator, violations } = report;
  const operations: [string, number][] = [
    ["transfers, two rows and two events each", bank.transfers],
    ["rolled back", bank.rollbacks],
    ["rolled back to a savepoint, then a transfer", bank.savepoints],
    ["committed late", bank.late],
    ["clients that vanished", bank.vanished],
    ["asked for an asynchronous commit", bank.asynchronous],
    ["events for a topic that refuses some of them", bank.poisoned],
    ["events in a version that no worker knew yet", bank.newer],
    ["transfers by writers with wrong clocks", bank.mistimed],
    ["failed, since a fault hit them", bank.failed],
    ["dead letters edited", operator.edited],
    ["dead letters discarded", operator.discarded],
    ["dead letters released as they were", operator.retried],
  ];
  const injected = Object.entries(report.faults).sort(([a], [b]) => (a < b ? -1 : 1));
  const total = injected.reduce((sum, [, count]) => sum + count, 0);
  const found =
    violations.length === 0 ? "Nothing." : violations.map((one) => `- ${one}`).join("\n");
  return [
    `Seed ${report.seed}, ${report.brokers} broker${report.brokers > 1 ? "s" : ""}, ` +
      `${report.seconds} s, ${total} faults: ${report.committed} events were ` +
      `committed, ${report.records} records are in Kafka, ${report.duplicates} of them ` +
      "duplicates. " +
      `After the faults the backlog was gone in ${(report.drainMs / 1000).toFixed(1)} s. ` +
      `Two workers (${report.protocol}) made ${report.effects} effects ` +
      `of three handlers, and ended ${report.workerDeaths} times by events that kill. ` +
      `A relay had at most ${mebibytes(report.relayRssMaxBytes)} MiB, ` +
      `a worker ${mebibytes(report.workerRssMaxBytes)}.`,
    table(["operation", "count"], operations),
    table(["fault", "count"], injected as [string, number][]),
    `What the checker found:\n\n${found}`,
    "",
  ].join("\n\n");
};
