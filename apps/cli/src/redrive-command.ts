/** Arguments of `outrider redrive ...`. */

import { redriveDefaults, redriveRate } from "@outrider/redrive";
import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { idArgument, integer, listingOf, selectionOf, withNeeded } from "./arguments.ts";
import { withPaging, withSelection } from "./arguments.ts";
import type { Chosen, Finish, ListingOptions } from "./arguments.ts";
import { redriveChange, redriveDrive, redriveList, redrivePreview } from "./redrive.ts";
import { redriveShow, redriveStart } from "./redrive.ts";
import type { StartOptions } from "./redrive.ts";

type Flags = { json?: boolean; watch?: boolean };

const rate = (text: string): number => {
  const value = Number(text);
  const { minPerS, maxPerS } = redriveRate;
  if (value >= minPerS && value <= maxPerS) return value;
  throw new InvalidArgumentError(`It is a number from ${minPerS} to ${maxPerS}.`);
};

export const addRedrive = (program: Command, run: Finish): void => {
  const redrive = program
    .command("redrive")
    .description("redrive many dead letters: as one operation that can be paused and resumed");
  addStart(redrive, run);
  withPaging(redrive.command("list").description("the newest first"), 20).action(
    (options: ListingOptions) => run((context) => redriveList(context, listingOf(options))),
  );
  redrive
    .command("show")
    .description("how far it is; exit code 3 when it is paused or something has failed again")
    .addArgument(idArgument("redrive"))
    .option("--json", "for machines; with --watch a line for each look")
    .option("--watch", "look again and again until it is over")
    .action((id: number, { json = false, watch = false }: Flags) =>
      run((context) => redriveShow(context, { id, json, watch })),
    );
  for (const verb of ["pause", "cancel"] as const) {
    redrive
      .command(verb)
      .description(verb === "pause" ? "decide nothing more for now" : "leave the rest as it is")
      .addArgument(idArgument("redrive"))
      .option("--by <name>", "who does it; the user of this machine otherwise")
      .action((id: number, options: { by?: string }) =>
        run((context) => redriveChange(context, verb, { id, ...options })),
      );
  }
  redrive
    .command("resume")
    .description("go on with a paused one, whatever has failed so far, and drive it")
    .addArgument(idArgument("redrive"))
    .option("--by <name>", "who does it; the user of this machine otherwise")
    .option("--json", "for machines")
    .action((id: number, { json = false, ...options }: Flags & { by?: string }) =>
      run((context) => redriveDrive(context, { id, json, isResumed: true, ...options })),
    );
  redrive
    .command("drive")
    .description("go on with a running one whose process has ended")
    .addArgument(idArgument("redrive"))
    .option("--json", "for machines")
    .action((id: number, { json = false }: Flags) =>
      run((context) => redriveDrive(context, { id, json })),
    );
};

const addStart = (redrive: Command, run: Finish): void => {
  const selecting = (name: string, description: string) =>
    withSelection(redrive.command(name).description(description)).option("--json", "for machines");
  selecting("preview", "say what it would do, and change nothing").action(
    (ids: number[] | undefined, { json = false, ...options }: Chosen & Flags) =>
      run((context) => redrivePreview(context, { ...selectionOf(ids, options), json })),
  );
  const { ratePerS, canary, failuresMax } = redriveDefaults;
  withNeeded(
    selecting("start", "redrive them, and show how far it is; exit code 3 when it pauses itself"),
    new Option("--reason <text>", "kept with each letter"),
  )
    .option("--by <name>", "who decides; the user of this machine otherwise")
    .option("--rate <number>", "most letters a second", rate, ratePerS)
    .option(
      "--canary <number>",
      "so many keys first; the rest when their events are handled",
      integer(0, 1_000_000),
      canary,
    )
    .option(
      "--failures <number>",
      "pause when so many are given up again",
      integer(1, 1_000_000),
      failuresMax,
    )
    .action((ids: number[] | undefined, options: Chosen & Flags & HowOptions) =>
      run((context) => {
        const { json = false, by, reason, rate: ratePerSecond, canary: first, failures } = options;
        const how = { json, reason, rate: ratePerSecond, canary: first, failures };
        const chosen = selectionOf(ids, options);
        return redriveStart(context, { ...how, ...chosen, ...(by !== undefined && { by }) });
      }),
    );
};

type HowOptions = Pick<StartOptions, "reason" | "rate" | "canary" | "failures"> & { by?: string };
