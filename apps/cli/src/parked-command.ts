/** Arguments of `outrider parked ...` and `outrider operation ...`. */

import type { Command } from "commander";
import { Option } from "commander";
import { byOption, comingMoment, idArgument, idsArgument, listingOf } from "./arguments.ts";
import { withNeed, withNeeded, withPaging } from "./arguments.ts";
import type { Finish, ListingOptions } from "./arguments.ts";
import { operationCancel, operationDrive, operationList, operationShow } from "./bulk.ts";
import { parkedDecide, parkedList, parkedShow } from "./parked.ts";
import type { ParkedQuery, ParkedVerb } from "./parked.ts";

const states = ["running", "due", "waiting", "held"];

const withParkedFilter = (command: Command): Command =>
  command
    .option("--handler <name>")
    .option("--topic <name>")
    .option("--key <text>")
    .option("--code <code>", "of the last error of the key's first event")
    .addOption(new Option("--state <state>").choices(states));

const queryOf = ({ handler, topic, key, code, state }: ParkedQuery): ParkedQuery => ({
  ...(handler !== undefined && { handler }),
  ...(topic !== undefined && { topic }),
  ...(key !== undefined && { key }),
  ...(code !== undefined && { code }),
  ...(state !== undefined && { state }),
});

export const addParked = (program: Command, run: Finish): void => {
  const parked = program.command("parked").description("keys with an event that failed");
  withPaging(
    withParkedFilter(parked.command("list").description("the longest parked first")),
    50,
  ).action((options: ParkedQuery & ListingOptions) =>
    run((context) => parkedList(context, { query: queryOf(options), ...listingOf(options) })),
  );
  parked
    .command("show")
    .description("one key, and what waits in it")
    .addArgument(idArgument("parked key"))
    .option("--json", "for machines")
    .action((id: number, { json = false }: { json?: boolean }) =>
      run((context) => parkedShow(context, { id, json })),
    );
  addDecisions(parked, run);
};

type DecisionOptions = ParkedQuery & {
  all?: boolean;
  by?: string;
  json?: boolean;
  reason?: string;
  until?: Date;
  skip?: boolean;
};

const addDecisions = (parked: Command, run: Finish): void => {
  const deciding = (verb: ParkedVerb, description: string) =>
    withNeed(
      withParkedFilter(
        parked.command(verb).description(description).addArgument(idsArgument("parked keys")),
      )
        .option("--all", "every parked key, where nothing else says which")
        .addOption(byOption())
        .option("--json", "for machines"),
      needsKeys,
    );
  const decide = (verb: ParkedVerb) => (ids: number[] | undefined, options: DecisionOptions) =>
    run((context) => {
      const { all = false, by, json = false, reason, until, skip } = options;
      const query = queryOf(options);
      return parkedDecide(context, verb, {
        ...{ ids: ids ?? [], query, all, json },
        ...(reason !== undefined && { reason }),
        ...(by !== undefined && { by }),
        ...(until && { until: until.toISOString() }),
        ...(verb === "bury" && { behind: skip ? ("skip" as const) : ("hold" as const) }),
      });
    });
  deciding("run", "run the first event of a key at once")
    .option("--reason <text>", "kept with the operation, where there are several")
    .action(decide("run"));
  withNeeded(
    deciding("postpone", "run the first event of a key later"),
    new Option("--until <time>", "an ISO time, or 2h from now").argParser(comingMoment),
  )
    .option("--reason <text>", "kept with the event")
    .action(decide("postpone"));
  withNeeded(
    deciding("bury", "give the first event of a key up: it becomes a dead letter"),
    new Option("--reason <text>", "kept with the letter"),
  )
    .option("--skip", "let what is behind it go on; otherwise it waits for a decision")
    .action(decide("bury"));
};

/** Nobody means all of them by mistake. */
const needsKeys = (command: Command): string | undefined => {
  const { all, ...options } = command.opts<DecisionOptions>();
  const isChosen = command.args.length > 0;
  if (all || isChosen || Object.keys(queryOf(options)).length > 0) return undefined;
  return "which keys: by id, by an option such as --handler, or --all";
};

export const addOperation = (program: Command, run: Finish): void => {
  const operation = program
    .command("operation")
    .description("decisions about many parked keys or dead letters");
  withPaging(operation.command("list").description("the newest first"), 20).action(
    (options: ListingOptions) => run((context) => operationList(context, listingOf(options))),
  );
  operation
    .command("show")
    .description("how far it is; exit code 3 when something was refused")
    .addArgument(idArgument("operation"))
    .option("--json", "for machines; with --watch a line for each look")
    .option("--watch", "look again and again until it is over")
    .action((id: number, { json = false, watch = false }: { json?: boolean; watch?: boolean }) =>
      run((context) => operationShow(context, { id, json, watch })),
    );
  operation
    .command("drive")
    .description("go on with a running one whose process has ended")
    .addArgument(idArgument("operation"))
    .option("--json", "for machines")
    .action((id: number, { json = false }: { json?: boolean }) =>
      run((context) => operationDrive(context, { id, json })),
    );
  operation
    .command("cancel")
    .description("leave the rest as it is")
    .addArgument(idArgument("operation"))
    .addOption(byOption())
    .action((id: number, options: { by?: string }) =>
      run((context) => operationCancel(context, { id, ...options })),
    );
};
