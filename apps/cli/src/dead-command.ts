/** Arguments of `outrider dead ...`. */

import { Option } from "commander";
import type { Command } from "commander";
import { byOption, filterOf, idArgument, integer, listingOf, selectionOf } from "./arguments.ts";
import { stateOption, timeSpan, withFilter, withNeeded, withPaging } from "./arguments.ts";
import { withSelection, withShowing } from "./arguments.ts";
import type { Chosen, FilterOptions, Finish, ListingOptions } from "./arguments.ts";
import { deadClean, deadDecide, deadDiscard, deadExport, deadGroups, deadList } from "./dead.ts";
import { deadRelease, deadShow } from "./dead.ts";
import type { DecideOptions } from "./dead.ts";

type Flags = { json?: boolean };
type DiscardFlags = Flags & Readonly<{ reason: string; by?: string }>;

export const addDead = (program: Command, run: Finish): void => {
  const dead = program.command("dead").description("events that were given up");
  addLooks(dead, run);
  const decision = (name: string, description: string) =>
    dead
      .command(name)
      .description(description)
      .addArgument(idArgument("letter"))
      .requiredOption("--reason <text>", "kept with the letter")
      .option("--by <name>", "who decides; the user of this machine otherwise");
  type Options = Omit<DecideOptions, "id">;
  decision("release", "publish or run the event after all, then what waits behind it")
    .option("--payload <file>", "this in its place, as a new event; the difference is kept")
    .action((id: number, options: Options) =>
      run((context) => deadRelease(context, { ...options, id })),
    );
  const others = {
    restore: "open a discarded letter again; its key has gone on without it",
    note: "keep a note with the letter",
  } as const;
  for (const verb of ["restore", "note"] as const) {
    decision(verb, others[verb]).action((id: number, options: Options) =>
      run((context) => deadDecide(context, verb, { ...options, id })),
    );
  }
  withNeeded(
    withSelection(
      dead
        .command("discard")
        .description("leave events out for good and go on with what waits behind them"),
    ),
    new Option("--reason <text>", "kept with each letter"),
  )
    .addOption(byOption())
    .option("--json", "for machines")
    .action(
      (
        ids: number[] | undefined,
        { reason, by, json = false, ...options }: DiscardFlags & Chosen,
      ) =>
        run((context) =>
          deadDiscard(context, {
            ...{ ...selectionOf(ids, options), reason, json },
            ...(by !== undefined && { by }),
          }),
        ),
    );
  dead
    .command("clean")
    .description("remove letters that were closed long ago; open ones stay")
    .requiredOption("--older-than <time>", "such as 30d", timeSpan)
    .action(({ olderThan }: { olderThan: number }) =>
      run((context) => deadClean(context, olderThan)),
    );
};

const addLooks = (dead: Command, run: Finish): void => {
  const filtering = (name: string, description: string) =>
    withFilter(dead.command(name).description(description).addOption(openByDefault()));
  withPaging(filtering("list", "the newest first"), 50).action(
    (options: FilterOptions & ListingOptions) =>
      run((context) => deadList(context, { query: filterOf(options), ...listingOf(options) })),
  );
  withShowing(filtering("groups", "what they died of, the largest group first"))
    .option("--limit <number>", "at most so many", integer(1, 1000), 20)
    .action((options: FilterOptions & Omit<ListingOptions, "cursor">) =>
      run((context) => deadGroups(context, { query: filterOf(options), ...listingOf(options) })),
    );
  dead
    .command("show")
    .description("everything about one letter")
    .addArgument(idArgument("letter"))
    .option("--json", "for machines, with the payload in base64")
    .action((id: number, { json = false }: Flags) =>
      run((context) => deadShow(context, { id, json })),
    );
  filtering("export", "whole letters, one a line, as JSON").action((options: FilterOptions) =>
    run((context) => deadExport(context, filterOf(options))),
  );
};

const openByDefault = () => stateOption().default("open");
