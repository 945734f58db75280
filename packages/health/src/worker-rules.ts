/** What has to hold of a worker's process for it to be ready and alive, as it knows it itself. */

import type { GroupState } from "@outrider/inbox";
import { judge } from "./finding.ts";
import type { Finding, Rule } from "./finding.ts";
import { judgeHalts } from "./halt-rules.ts";
import { duration } from "./words.ts";

type Groups = readonly GroupState[];

const consumers: readonly Rule<Groups>[] = [
  {
    ...{ entity: "consumer", rule: "consumer_away" },
    find: (groups) =>
      groups
        .filter((one) => !one.isConnected)
        .map(({ group }) => ({ name: group, reason: `Not connected to Kafka: ${group}` })),
    next: "see whether the brokers answer, and this process's log",
  },
  {
    ...{ entity: "consumer", rule: "consumer_joining" },
    find: (groups) =>
      groups
        .filter((one) => one.isConnected && !one.isJoined)
        .map(({ group }) => ({ name: group, reason: `Still joining: ${group}` })),
    next: "this takes some seconds after a start",
  },
];

export type LifeLimits = Readonly<{
  /** Most that a call into the Kafka client may be out. */
  callMaxMs: number;
  /** Longest that no broker may have answered. */
  silenceMaxMs: number;
  /** Longest that a partition may have no reader. */
  unreadMaxMs: number;
}>;

type LifeFacts = Readonly<{ groups: Groups; limits: LifeLimits }>;

/** Wrong in a way that only a new process may mend. */
const life: readonly Rule<LifeFacts>[] = [
  {
    ...{ entity: "consumer", rule: "call_hangs" },
    find: ({ groups, limits }) =>
      groups
        .filter((one) => one.callMs > limits.callMaxMs)
        .map(({ group: name, callMs }) => {
          const what = `a call into its client hangs for ${duration(callMs)}`;
          return { name, reason: `Group ${name}: ${what}` };
        }),
    next: "start the process anew",
  },
  {
    ...{ entity: "consumer", rule: "brokers_silent" },
    find: ({ groups, limits }) =>
      groups
        .filter((one) => one.silenceMs > limits.silenceMaxMs)
        .map(({ group: name, silenceMs }) => {
          const reason = `Group ${name}: no broker has answered for ${duration(silenceMs)}`;
          return { name, reason };
        }),
    next: "see whether the brokers answer; if they do, start the process anew",
  },
  {
    ...{ entity: "consumer", rule: "partition_unread" },
    find: ({ groups, limits }) =>
      groups.flatMap(({ group, unread }) => {
        const left = unread.find((one) => one.forMs > limits.unreadMaxMs);
        if (!left) return [];
        const at = `${left.topic}/${left.partition}`;
        const what = `nobody reads ${at} for ${duration(left.forMs)}`;
        return [{ name: group, reason: `Group ${group}: ${what}` }];
      }),
    next: "start the process anew",
  },
];

/** Those that a process does not read. */
export const judgePartitions = (groups: Groups): Finding[] =>
  judgeHalts(groups.flatMap(({ group, halted }) => halted.map((one) => ({ group, ...one }))));
export const judgeConsumers = (groups: Groups): Finding[] => judge(consumers, groups);
export const judgeLife = (facts: LifeFacts): Finding[] => judge(life, facts);
