/** Arguments of `outrider partition ...`. */

import { Argument, InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { byOption, integer, listingOf, moment, withNeeded, withPaging } from "./arguments.ts";
import type { Finish, ListingOptions } from "./arguments.ts";
import { partitionList, partitionResume } from "./partition.ts";

const partitionMax = 2 ** 31 - 1;

const whichPartition = (text: string): number | "all" =>
  text === "all" ? text : integer(0, partitionMax)(text);

/** As the operations API takes it. */
const fromText = (text: string): string => {
  if (text === "beginning" || text === "end") return text;
  try {
    return moment(text).toISOString();
  } catch {
    throw new InvalidArgumentError(
      "It is beginning, end, or a time such as 2026-01-31T12:00Z, or 2h for two hours ago.",
    );
  }
};

type ListOptions = ListingOptions & { group?: string; topic?: string; halted?: boolean };
type ResumeOptions = { from: string; reason: string; by?: string; json?: boolean };

export const addPartition = (program: Command, run: Finish): void => {
  const partition = program
    .command("partition")
    .description("how far groups have read, and partitions that are halted");
  const list = partition
    .command("list")
    .description("watermarks, with their lag and their log; what is halted, and why")
    .option("--group <name>")
    .option("--topic <name>")
    .option("--halted", "only what is halted");
  withPaging(list, 200).action(({ group, topic, halted, ...options }: ListOptions) => {
    const query = {
      ...(group !== undefined && { group }),
      ...(topic !== undefined && { topic }),
      ...(halted && { halted: "true" as const }),
    };
    return run((context) => partitionList(context, { query, ...listingOf(options) }));
  });
  const resume = partition
    .command("resume")
    .description("end a halt, and say where the group goes on in the log of today")
    .addArgument(new Argument("<group>"))
    .addArgument(new Argument("<topic>"))
    .addArgument(new Argument("<partition>", "or all halted ones").argParser(whichPartition));
  const from = new Option("--from <place>", "beginning, end, or a time; what is before is skipped");
  withNeeded(resume, from.argParser(fromText));
  withNeeded(resume, new Option("--reason <text>", "kept in the audit"))
    .addOption(byOption())
    .option("--json", "for machines")
    .action((...given: [string, string, number | "all", ResumeOptions]) => {
      const [group, topic, which, { json = false, ...how }] = given;
      const wish = { group, topic, partition: which, json, ...how };
      return run((context) => partitionResume(context, wish));
    });
};
