/** Arguments of the commands that look: `event`, `handlers`, `workers`, `retry-queue`, `audit`. */

import { scopes } from "@outrider/operations";
import type { Scope } from "@outrider/operations";
import { Argument, Option } from "commander";
import type { Command } from "commander";
import { byOption, idArgument, integer, listingOf, moment, timeSpan } from "./arguments.ts";
import { withPaging, withShowing } from "./arguments.ts";
import type { Finish, ListingOptions } from "./arguments.ts";
import { eventShow, eventsList } from "./event.ts";
import { healthShow } from "./findings.ts";
import { handlerForget, handlersList, retryQueueShow, workersList } from "./handlers.ts";
import { auditList, keysCreate, keysList, keysRevoke } from "./keys.ts";
import type { AuditQuery } from "./keys.ts";

type Flags = { json?: boolean; watch?: boolean };

const showingOf = ({ json = false, watch = false }: Flags) => ({ json, watch });

const looking = (program: Command, name: string, description: string): Command =>
  withShowing(program.command(name).description(description));

export const addLooks = (program: Command, run: Finish): void => {
  looking(program, "event", "one event's whole life; exit code 3 when a letter of it is open")
    .addArgument(new Argument("<id>", "of the event; or a key, such as an order's id"))
    .option("--topic <name>", "where to look for it when no table knows it")
    .option("--key <text>", "makes that look shorter")
    .action((id: string, { topic, key, ...flags }: Flags & { topic?: string; key?: string }) => {
      const hints = { ...(topic !== undefined && { topic }), ...(key !== undefined && { key }) };
      return run((context) => eventShow(context, { id, ...hints, ...showingOf(flags) }));
    });
  looking(program, "events", "events of a key, a chain, a type or a time, the oldest first")
    .option("--key <text>", "such as an order's id: the fastest look")
    .option("--correlation <id>", "of the request or event that began the chain")
    .option("--type <name>", "such as order.order.created")
    .option("--topic <name>", "in place of all topics that handlers read")
    .option("--since <time>", "an ISO time, or 2h for two hours ago; a day ago otherwise", moment)
    .option("--until <time>", "published before", moment)
    .option("--limit <number>", "at most so many", integer(1, 1000), 50)
    .action((options: EventsFlags) => run((context) => eventsList(context, eventsOf(options))));
  looking(
    program,
    "health",
    "what is not well, and what to do; exit code 3 when anything is",
  ).action((flags: Flags) => run((context) => healthShow(context, showingOf(flags))));
  const handlers = looking(
    program,
    "handlers",
    "lag, rate, what is held up; exit code 3 when a human is needed",
  ).action((flags: Flags) => run((context) => handlersList(context, showingOf(flags))));
  handlers
    .command("forget")
    .description("list a handler no longer that nobody runs any more")
    .addArgument(new Argument("<name>", "of the handler"))
    .addOption(byOption())
    .action((name: string, options: { by?: string }) =>
      run((context) => handlerForget(context, { name, ...options })),
    );
  looking(program, "workers", "processes that run handlers").action((flags: Flags) =>
    run((context) => workersList(context, showingOf(flags))),
  );
  looking(program, "retry-queue", "timers in Redis, each beside its parked key")
    .option("--queue <name>", "of one app")
    .option("--limit <number>", "at most so many of each queue", integer(1, 1000), 50)
    .action(({ queue, limit, ...flags }: Flags & { queue?: string; limit: number }) => {
      const options = { limit, ...(queue !== undefined && { queue }), ...showingOf(flags) };
      return run((context) => retryQueueShow(context, options));
    });
};

type EventsFlags = Flags & {
  key?: string;
  correlation?: string;
  type?: string;
  topic?: string;
  since?: Date;
  until?: Date;
  limit: number;
};

const eventsOf = ({ json, watch, limit, correlation, since, until, ...rest }: EventsFlags) => {
  const query = {
    ...rest,
    ...(correlation !== undefined && { correlationId: correlation }),
    ...(since && { since: since.toISOString() }),
    ...(until && { until: until.toISOString() }),
  };
  return { query, limit, ...showingOf({ ...(json && { json }), ...(watch && { watch }) }) };
};

export const addKeys = (program: Command, run: Finish): void => {
  const keys = program.command("keys").description("who may use the operations API");
  keys
    .command("create")
    .description("make a key and print it; it is not shown again")
    .addArgument(new Argument("<name>", "of its owner, as the audit has it"))
    .addOption(
      new Option("--scope <scope...>", "what it may").choices(scopes).makeOptionMandatory(),
    )
    .option("--expires <time>", "such as 90d; never otherwise", timeSpan)
    .addOption(byOption())
    .option("--json", "for machines, with the key's id")
    .action((name: string, options: CreateOptions) => {
      const { scope, expires, by, json = false } = options;
      const more = {
        ...(expires !== undefined && { expiresInMs: expires }),
        ...(by !== undefined && { by }),
      };
      return run((context) => keysCreate(context, { name, scopes: scope, json, ...more }));
    });
  keys
    .command("revoke")
    .description("refuse a key from now on")
    .addArgument(idArgument("key"))
    .addOption(byOption())
    .action((id: number, options: { by?: string }) =>
      run((context) => keysRevoke(context, { id, ...options })),
    );
  withPaging(keys.command("list").description("the newest first"), 50).action(
    (options: ListingOptions) => run((context) => keysList(context, listingOf(options))),
  );
  const audit = program.command("audit").description("who has changed what, the newest first");
  withPaging(audit, 50)
    .option("--actor <name>")
    .option("--action <name>", "such as redriveLetter")
    .option("--target <name>", "such as dead-letters/7")
    .action((options: AuditQuery & ListingOptions) => {
      const { actor, action, target } = options;
      const query = {
        ...(actor !== undefined && { actor }),
        ...(action !== undefined && { action }),
        ...(target !== undefined && { target }),
      };
      return run((context) => auditList(context, { query, ...listingOf(options) }));
    });
};

type CreateOptions = { scope: Scope[]; expires?: number; by?: string; json?: boolean };
