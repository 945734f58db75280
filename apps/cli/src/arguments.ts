/** What arguments of commands mean. */

import { letterStates } from "@outrider/redrive";
import type { LetterState } from "@outrider/redrive";
import { Argument, InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import type { Context } from "./main.ts";

/** Runs a verb and ends the process with its exit code. */
export type Finish = (verb: (context: Context) => Promise<number>) => Promise<never>;

/**
 * For every command. The names are of no option below: the program takes what is its own wherever
 * it stands, and a filter that is lost like that means everything.
 */
export const withApi = (program: Command): Command =>
  program
    .option("--url <url>", "of an operations API to work through; or OUTRIDER_URL")
    .option("--api-key <key>", "for it; better in OUTRIDER_KEY, since others see arguments");

export type Api = Readonly<{ url?: string; key?: string }>;

export const apiOf = (program: Command): Api => {
  const { url, apiKey } = program.opts<{ url?: string; apiKey?: string }>();
  return { ...(url !== undefined && { url }), ...(apiKey !== undefined && { key: apiKey }) };
};

/** Says what of something a command lacks; undefined: nothing. */
type Need = (command: Command) => string | undefined;

const needs = new WeakMap<Command, readonly Need[]>();

/** What a command lacks is said all at once, which mandatory options of Commander do not do. */
export const withNeed = (command: Command, need: Need): Command => {
  needs.set(command, [...(needs.get(command) ?? []), need]);
  return command;
};

export const withNeeded = (command: Command, option: Option): Command =>
  withNeed(command.addOption(option), (of) =>
    of.getOptionValue(option.attributeName()) === undefined
      ? `${option.flags}${option.description ? `, ${option.description}` : ""}`
      : undefined,
  );

/** Before a command acts. */
export const refuseIncomplete = (program: Command): Command =>
  program.hook("preAction", (_, command) => {
    const lacks = (needs.get(command) ?? []).flatMap((need) => need(command) ?? []);
    const lines = lacks.map((one) => `  ${one}`).join("\n");
    if (lacks.length > 0) command.error(`error: it needs\n${lines}`);
  });

export const integer =
  (from: number, to: number) =>
  (text: string): number => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= from && value <= to) return value;
    throw new InvalidArgumentError(`It is a whole number from ${from} to ${to}.`);
  };

export const idMax = Number.MAX_SAFE_INTEGER;

export const idArgument = (of: string) =>
  new Argument("<id>", `of the ${of}`).argParser(integer(1, idMax));

/** `id...` or nothing. */
export const idsArgument = (of: string) =>
  new Argument("[ids...]", `of ${of}`).argParser((text, before: number[] | undefined) => [
    ...(before ?? []),
    integer(1, idMax)(text),
  ]);

const unitsMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A length of time, in ms: `30s`, `15m`, `2h`, `3d`. */
export const timeSpan = (text: string): number => {
  const [, number, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const unitMs = unitsMs[unit];
  if (!number || !unitMs)
    throw new InvalidArgumentError("It is a time such as 30s, 15m, 2h or 3d.");
  return Number(number) * unitMs;
};

/** A moment: an ISO time, or how long ago. */
export const moment = (text: string): Date => {
  if (/^\d+[smhd]$/.test(text)) return new Date(Date.now() - timeSpan(text));
  const date = new Date(text);
  if (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(date.getTime())) return date;
  throw new InvalidArgumentError(
    "It is a time such as 2026-01-31T12:00Z, or 2h for two hours ago.",
  );
};

export const uuid = (text: string): string => {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return text;
  throw new InvalidArgumentError("It is a UUID.");
};

type StateOption = LetterState | "all";

export const stateOption = () => new Option("--state <state>").choices([...letterStates, "all"]);

/** Which dead letters a command is about. */
export const withFilter = (command: Command): Command =>
  command
    .option("--handler <name>", "given up by this handler")
    .option("--relay", "given up by the relay")
    .option("--topic <name>")
    .option("--code <code>")
    .option("--group <fingerprint>", "that died of the same, as `dead groups` names it")
    .option("--key <text>")
    .option("--event <id>", "", uuid)
    .option("--since <time>", "buried since: an ISO time, or 2h for two hours ago", moment)
    .option("--until <time>", "buried before", moment)
    .option("--text <text>", "somewhere in the payload or the message");

export type FilterOptions = Readonly<{
  state?: StateOption;
  handler?: string;
  relay?: boolean;
  topic?: string;
  code?: string;
  group?: string;
  key?: string;
  event?: string;
  since?: Date;
  until?: Date;
  text?: string;
}>;

/** As the operations API takes it, in queries and bodies. */
export type LetterQuery = Readonly<{
  state?: LetterState | undefined;
  origin?: "relay" | "handler" | undefined;
  handler?: string | undefined;
  topic?: string | undefined;
  code?: string | undefined;
  fingerprint?: string | undefined;
  key?: string | undefined;
  eventId?: string | undefined;
  since?: string | undefined;
  until?: string | undefined;
  text?: string | undefined;
}>;

export const filterOf = (options: FilterOptions): LetterQuery => {
  const { state, relay, group, event, handler, topic, code, key, since, until, text } = options;
  return {
    ...{ handler, topic, code, key, text, fingerprint: group, eventId: event },
    since: since?.toISOString(),
    until: until?.toISOString(),
    origin: relay ? "relay" : undefined,
    state: state === "all" ? undefined : state,
  };
};

/** A moment to come: an ISO time, or how long from now. */
export const comingMoment = (text: string): Date =>
  /^\d+[smhd]$/.test(text) ? new Date(Date.now() + timeSpan(text)) : moment(text);

export const byOption = () =>
  new Option("--by <name>", "who decides; the user of this machine otherwise");

/** How it is shown what changes. */
export const withShowing = (command: Command): Command =>
  command
    .option("--json", "for machines; with --watch a line for each look")
    .option("--watch", "look again and again until stopped");

/** What comes after another page of a list. */
export const withPaging = (command: Command, limit: number): Command =>
  withShowing(command)
    .option("--limit <number>", "at most so many", integer(1, 10_000), limit)
    .option("--cursor <text>", "go on behind another page");

export type ListingOptions = Readonly<{
  limit: number;
  cursor?: string;
  json?: boolean;
  watch?: boolean;
}>;

export const listingOf = ({ limit, cursor, json = false, watch = false }: ListingOptions) => ({
  ...{ limit, json, watch },
  ...(cursor !== undefined && { cursor }),
});

/** Dead letters that are decided about together. */
export type Selection = Readonly<{
  query: Omit<LetterQuery, "state">;
  ids?: number[] | undefined;
  /** Nothing is said: all of them are meant. */
  all?: boolean | undefined;
}>;

export type Chosen = FilterOptions & Readonly<{ all?: boolean }>;

export const withSelection = (command: Command): Command =>
  withNeed(
    withFilter(command.addArgument(idsArgument("letters"))).option(
      "--all",
      "every open letter, where nothing else says which",
    ),
    needsSelection,
  );

/** Nobody means all of them by mistake. */
const needsSelection = (command: Command): string | undefined => {
  const { all, json: _, ...options } = command.opts<Chosen & { json?: boolean }>();
  const { state: _state, ...query } = filterOf(options);
  const isChosen =
    command.args.length > 0 || Object.values(query).some((value) => value !== undefined);
  if (isChosen || all) return undefined;
  return "which letters: by id, by an option such as --group, or --all";
};

export const selectionOf = (ids: number[] | undefined, { all, ...options }: Chosen): Selection => {
  const { state: _, ...query } = filterOf(options);
  return { query, ...(ids?.length && { ids }), ...(all && { all }) };
};
