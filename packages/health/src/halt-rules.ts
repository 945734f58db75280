/** Partitions that a group does not read until somebody decides. */

import { judge } from "./finding.ts";
import type { Finding, Rule } from "./finding.ts";
import { printable } from "./words.ts";

export type Halt = Readonly<{ group: string; topic: string; partition: number; reason: string }>;

type Alike = Readonly<{ halts: readonly Halt[]; first: Halt }>;

const halted: Rule<readonly Halt[]>["find"] = (halts) => {
  const alike = Map.groupBy(halts, (one) => `${one.group} ${one.topic} ${one.reason}`);
  return [...alike.values()].flatMap((some) => {
    const [first] = some;
    return first ? [say({ halts: some, first })] : [];
  });
};

const say = ({ halts, first: { group, topic, reason } }: Alike) => {
  const numbers = halts.map((one) => one.partition);
  const what = `${group} does not read ${topic}/${numbers.join(", ")}`;
  const which = numbers.length === 1 ? String(numbers[0]) : "all";
  return { name: `${group} ${topic} ${which}`, reason: `${what}: ${printable(reason, 200)}` };
};

const rules: readonly Rule<readonly Halt[]>[] = [
  {
    ...{ entity: "partition", rule: "partition_halted" },
    find: halted,
    next: (which) =>
      `decide with \`outrider partition resume ${which} ` +
      "--from beginning|end|TIME --reason ...`",
  },
];

/** One finding for each group, topic and reason. */
export const judgeHalts = (halts: readonly Halt[]): Finding[] => judge(rules, halts);
