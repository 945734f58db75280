/** What schemathesis has found, as a drill's page says it. */

import type { DrillResult } from "./drill.ts";
import { untold } from "./schemathesis-config.ts";

/** The parts of its JSON report that are read. */
export type Asked = Readonly<{
  name: string;
  complete: boolean;
  operations: Readonly<{ selected: number; tested: number; errored: number }>;
  phases: Readonly<Record<string, Readonly<{ status: string }>>>;
  test_cases: Readonly<{ generated: number; errored: number }>;
  failures: readonly Readonly<{ title: string; count: number; operations: readonly string[] }>[];
}>;

type How = Readonly<{ version: string; seed: number }>;

export const reportOf = (asked: readonly Asked[], { version, seed }: How): DrillResult => {
  const text = [
    `Schemathesis ${version} against the shop and the operations API as they run, with a relay, a`,
    `worker, Postgres, Kafka and Redis: all checks, seed ${seed}, each operation with values at`,
    "and beyond the limits of its document (coverage), with made-up ones (fuzzing), and in chains",
    "(stateful).",
    "",
    "| API | operations | requests | failures |",
    "| --- | --: | --: | --: |",
    ...asked.map(rowOf),
    "",
    "What a document cannot say, so that a refusal of what is right by it counts as no failure:",
    "",
    ...untold.map(
      ({ why, status, operations }) => `- ${status}: ${why} (${operations.join(", ")})`,
    ),
    "- 431: Bun refuses path, query and headers of more than 16 KiB before the API is asked.",
  ].join("\n");
  return { text, failures: asked.flatMap(failuresOf) };
};

const rowOf = ({ name, operations, test_cases: cases, failures }: Asked): string => {
  const found = failures.reduce((sum, { count }) => sum + count, 0);
  const shown = [name, `${operations.tested} of ${operations.selected}`, cases.generated, found];
  return `| ${shown.join(" | ")} |`;
};

const failuresOf = ({ name, complete, operations, phases, test_cases: cases, failures }: Asked) => {
  const left = operations.selected - operations.tested;
  const skipped = ["coverage", "fuzzing", "stateful"].filter(
    (phase) => phases[phase]?.status === "skip",
  );
  return [
    ...failures.map(
      (one) => `${name}: ${one.title}, ${one.count} times: ${one.operations.join(", ")}.`,
    ),
    ...(complete ? [] : [`${name}: the run was not completed.`]),
    ...(left > 0 ? [`${name}: ${left} operations were not asked.`] : []),
    ...(operations.errored + cases.errored > 0 ? [`${name}: schemathesis itself failed.`] : []),
    ...skipped.map((phase) => `${name}: the phase ${phase} was left out.`),
  ];
};
