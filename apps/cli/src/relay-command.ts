/** Arguments of `outrider relay ...`. */

import { Argument } from "commander";
import type { Command } from "commander";
import { integer } from "./arguments.ts";
import type { Finish } from "./arguments.ts";
import { relayGuard, relayRelayout } from "./relay-layout.ts";
import { relayStatus } from "./relay-status.ts";

type Flags = { json?: boolean; watch?: boolean };

export const addRelay = (program: Command, run: Finish): void => {
  const relay = program.command("relay").description("the daemon that publishes the outbox");
  relay
    .command("status")
    .description("shards, owners, backlog, blocked keys; exit code 3 when a human is needed")
    .option("--json", "for machines; with --watch a line for each look")
    .option("--watch", "look again and again until stopped")
    .option("--interval <seconds>", "between two looks", integer(1, 3600), 2)
    .action(({ json = false, watch = false, interval }: Flags & { interval: number }) =>
      run((context) => relayStatus(context, { json, watch, intervalS: interval })),
    );
  relay
    .command("relayout")
    .description("another number of shards, while relays and writers run")
    .requiredOption("--shards <number>", "a power of two up to 256", integer(1, 256))
    .action(({ shards }: { shards: number }) => run((context) => relayRelayout(context, shards)));
  relay
    .command("guard")
    .description("one writer of a key at a time, for writers that do not lock their rows")
    .addArgument(new Argument("<wish>").choices(["on", "off", "status"]))
    .action((wish: "on" | "off" | "status") => run((context) => relayGuard(context, wish)));
};
