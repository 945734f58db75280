/** Arguments of `outrider replay ...`. */

import { Option } from "commander";
import type { Command } from "commander";
import { idArgument, idMax, integer, listingOf, moment, withNeeded } from "./arguments.ts";
import { withPaging } from "./arguments.ts";
import type { Finish, ListingOptions } from "./arguments.ts";
import { replayCancel, replayList, replayPreview, replayResume } from "./replay.ts";
import { replayShow, replayStart } from "./replay.ts";
import type { WishOptions } from "./replay.ts";

type Flags = { json?: boolean; watch?: boolean };

export const addReplay = (program: Command, run: Finish): void => {
  const replay = program
    .command("replay")
    .description("let a handler read a topic again, below what its group has read");
  const wishing = (name: string, description: string) =>
    withNeeded(replay.command(name).description(description), new Option("--handler <name>"))
      .option("--topic <name>", "where the handler has several")
      .option("--partition <number>", "only this one", integer(0, 1_000_000))
      .option(
        "--since <time>",
        "from the first record published since; from the first one otherwise",
        moment,
      )
      .option("--offset <number>", "from this one, with --partition", integer(0, idMax))
      .option("--again", "run what the inbox knows, too, under a name of its own")
      .option("--json", "for machines");
  wishing("preview", "say what would be read and run, and change nothing").action(
    ({ json = false, ...options }: WishOptions & Flags) =>
      run((context) => replayPreview(context, { ...options, json })),
  );
  withNeeded(
    wishing("start", "run it, and show how far it is; exit code 3 when events are given up"),
    new Option("--reason <text>", "kept with the replay"),
  )
    .option("--by <name>", "who decides; the user of this machine otherwise")
    .action(({ json = false, ...options }: WishOptions & Flags & { reason: string; by?: string }) =>
      run((context) => replayStart(context, { ...options, json })),
    );
  const ofOne = (name: string, description: string) =>
    replay.command(name).description(description).addArgument(idArgument("replay"));
  ofOne("resume", "go on with one whose process has ended, or run what was redriven of it")
    .option("--json", "for machines")
    .action((id: number, { json = false }: Flags) =>
      run((context) => replayResume(context, { id, json })),
    );
  ofOne("show", "how far it is")
    .option("--json", "for machines; with --watch a line for each look")
    .option("--watch", "look again and again until it is over")
    .action((id: number, { json = false, watch = false }: Flags) =>
      run((context) => replayShow(context, { id, json, watch })),
    );
  ofOne("cancel", "end it; what has been run stays so")
    .option("--by <name>", "who does it; the user of this machine otherwise")
    .action((id: number, options: { by?: string }) =>
      run((context) => replayCancel(context, { id, ...options })),
    );
  withPaging(replay.command("list").description("the newest first"), 20).action(
    (options: ListingOptions) => run((context) => replayList(context, listingOf(options))),
  );
};
