/** Arguments of `outrider dead ...`. */

import type { Command } from "commander";
import { filterOf, idArgument, idMax, integer, stateOption } from "./arguments.ts";
import { timeSpan, withFilter } from "./arguments.ts";
import type { FilterOptions, Finish } from "./arguments.ts";
import { deadClean, deadDecide, deadExport, deadGroups, deadList } from "./dead.ts";
import { deadRelease, deadShow } from "./dead.ts";
import type { DecideOptions } from "./dead.ts";

type Flags = { json?: boolean };

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
    discard: "leave the event out for good and go on with what waits behind it",
    restore: "open a discarded letter again; its key has gone on without it",
    note: "keep a note with the letter",
  } as const;
  for (const verb of ["discard", "restore", "note"] as const) {
    decision(verb, others[verb]).action((id: number, options: Options) =>
      run((context) => deadDecide(context, verb, { ...options, id })),
    );
  }
  dead
    .command("clean")
    .description("remove letters that were closed long ago; open ones stay")
    .requiredOption("--older-than <time>", "such as 30d", timeSpan)
    .action(({ olderThan }: { olderThan: number }) =>
      run((context) => deadClean(context, olderThan)),
    );
};

const addLooks = (dead: Command, run: Finish): void => {
  withFilter(dead.command("list").description("the newest first").addOption(openByDefault()))
    .option("--limit <number>", "at most so many", integer(1, 10_000), 50)
    .option("--before <id>", "only older ones than this letter", integer(1, idMax))
    .option("--json", "for machines")
    .action((options: FilterOptions & Flags & { limit: number; before?: number }) => {
      const { json = false, limit, before } = options;
      const page = { limit, before };
      return run((context) => deadList(context, { filter: filterOf(options), page, json }));
    });
  withFilter(dead.command("groups").description("what they died of").addOption(openByDefault()))
    .option("--limit <number>", "at most so many groups", integer(1, 1000), 20)
    .option("--json", "for machines")
    .action(({ json = false, limit, ...options }: FilterOptions & Flags & { limit: number }) =>
      run((context) => deadGroups(context, { filter: filterOf(options), limit, json })),
    );
  dead
    .command("show")
    .description("everything about one letter")
    .addArgument(idArgument("letter"))
    .option("--json", "for machines, with the payload in base64")
    .action((id: number, { json = false }: Flags) =>
      run((context) => deadShow(context, { id, json })),
    );
  withFilter(
    dead
      .command("export")
      .description("whole letters, one a line, as JSON")
      .addOption(openByDefault()),
  ).action((options: FilterOptions) => run((context) => deadExport(context, filterOf(options))));
};

const openByDefault = () => stateOption().default("open");
