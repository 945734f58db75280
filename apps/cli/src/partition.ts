/** `outrider partition ...`: how far groups are, and partitions that are halted. */

import { judgeHalts, printable } from "@outrider/health";
import type { Halt } from "@outrider/health";
import type { PartitionStatus } from "@outrider/operations";
import { describeFindings } from "./findings.ts";
import { showList } from "./list.ts";
import type { Listing } from "./list.ts";
import type { Context } from "./main.ts";
import { bodyOf, withOperations } from "./operations.ts";
import type { Json, OperationsClient, Who } from "./operations.ts";
import { ago, textTable } from "./text-table.ts";

export type PartitionQuery = Readonly<{ group?: string; topic?: string; halted?: "true" }>;

export const partitionList = (
  context: Context,
  { query, ...listing }: Listing & Readonly<{ query: PartitionQuery }>,
): Promise<number> =>
  showList(context, listing, {
    ask: (client, page) => client.partitions.$get({ query: { ...query, ...page } }),
    describe: describePartitions,
  });

type Shown = Json<PartitionStatus>;

export const describePartitions = (partitions: readonly Shown[], nowMs: number): string => {
  if (partitions.length === 0) return "no partitions";
  const halts = haltsOf(partitions);
  const table = textTable(
    ["group", "topic", "partition", "next", "lag", "log", "log's id", "written", "halted"],
    partitions.map((one) => [
      printable(one.group, 30),
      printable(one.topic, 30),
      ...[one.partition, one.next, one.lag ?? "?", one.log, one.topicId ?? "?"],
      ago(one.updatedAt, nowMs),
      one.haltedAt === null ? "-" : ago(one.haltedAt, nowMs),
    ]),
  );
  return halts.length === 0 ? table : `${table}\n\n${describeFindings(judgeHalts(halts))}`;
};

const haltsOf = (partitions: readonly Shown[]): Halt[] =>
  partitions
    .filter((one) => one.haltedAt !== null)
    .map(({ group, topic, partition, haltReason }) => {
      return { group, topic, partition, reason: haltReason ?? "" };
    });

/** Most partitions of one look that are told by name. */
const haltedMax = "1000";

/** What is halted anywhere. */
export const readHalts = async (client: OperationsClient): Promise<Halt[]> => {
  const query = { halted: "true", limit: haltedMax } as const;
  return haltsOf((await bodyOf(client.partitions.$get({ query }))).items);
};

export type Resumption = Who &
  Readonly<{
    group: string;
    topic: string;
    partition: number | "all";
    /** `beginning`, `end`, or an ISO time. */
    from: string;
    reason: string;
    json: boolean;
  }>;

export const partitionResume = (
  context: Context,
  { group, topic, partition, from, reason, json, ...who }: Resumption,
): Promise<number> =>
  withOperations(
    context,
    async ({ client }) => {
      const which = partition === "all" ? { all: true } : { partition };
      const wish = { group, topic, from, reason, ...which };
      const { items } = await bodyOf(client.partitions.resume.$post({ json: wish }));
      const said = items.map(
        (one) => `${group} goes on in ${topic}/${one.partition} at offset ${one.next}`,
      );
      context.report.say(json ? JSON.stringify({ items }) : said.join("\n"));
      return 0;
    },
    who,
  );
