/**
 * `outrider completions`: a script that lets a shell complete commands, options and their choices.
 * It is made from the tree of commands and knows everything itself: to start the command for each
 * press of a key would be too slow.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Argument } from "commander";
import type { Command, Option } from "commander";

export const shells = ["bash", "zsh", "fish"] as const;
type Shell = (typeof shells)[number];

export const addCompletions = (program: Command, print: (script: string) => void): void => {
  program
    .command("completions")
    .description("print a script that completes this command in a shell")
    .addArgument(new Argument("<shell>", "that is to load it").choices(shells))
    .action((shell: Shell) => print(completions(shell, program)));
};

const completions = (shell: Shell, program: Command): string => {
  const places = placesOf(program);
  if (shell === "fish") return fill("outrider.fish", fishParts(places));
  const find = fill("find.sh", posixParts(places)).trimEnd();
  return fill(`outrider.${shell}`, { find });
};

/** A file of the folder `completions`, with its `@names@` filled in. */
const fill = (file: string, parts: Readonly<Record<string, string>>): string =>
  readFileSync(join(import.meta.dirname, "completions", file), "utf8").replaceAll(
    /@(\w+)@/g,
    (whole, name: string) => parts[name] ?? whole,
  );

type Word = Readonly<{ name: string; about: string }>;

/** A command, as it is typed, and what may follow. */
type Place = Readonly<{
  path: string;
  commands: readonly Word[];
  /** Of its arguments. */
  choices: readonly string[];
  options: readonly Option[];
}>;

type Above = Readonly<{ path: readonly string[]; options: readonly Option[] }>;

const placesOf = (command: Command, above: Above = { path: [], options: [] }): Place[] => {
  const help = command.createHelp();
  const path = [...above.path, command.name()];
  const place = {
    path: path.join(" "),
    commands: help
      .visibleCommands(command)
      .map((one) => ({ name: one.name(), about: one.description() })),
    choices: command.registeredArguments.flatMap((one) => one.argChoices ?? []),
    options: [...help.visibleOptions(command), ...above.options],
  };
  // Behind a command its own options are taken, and those with a value of all above it.
  const own = { path, options: [...command.options.filter(isValued), ...above.options] };
  return [place, ...command.commands.flatMap((one) => placesOf(one, own))];
};

const isValued = ({ required, optional }: Option): boolean => required || optional;
const isFile = ({ flags }: Option): boolean => flags.endsWith("<file>");

/** For bash and zsh: what may follow a command, or an option with a value, a word in each line. */
const posixParts = (places: readonly Place[]) => {
  const byWords = Map.groupBy(places.flatMap(followers), ({ words }) => words);
  const cases = [...byWords].map(
    ([words, typed]) =>
      `  ${typed.map((one) => quoted(one.behind)).join("|")}) found=${quoted(words)} ;;`,
  );
  const many = places.flatMap(({ path, options }) =>
    options.filter((one) => one.variadic).map((one) => `|${path} ${one.long}|`),
  );
  return { cases: cases.join("\n"), many: quoted(many.join("")) };
};

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

const followers = ({ path, commands, choices, options }: Place) => {
  const line = ({ name, about }: Word) => `${name}\t${about}`;
  const flags = options.map((one) => line({ name: one.long ?? "", about: one.description }));
  const valued = options.filter(isValued).map((one) => ({
    behind: `${path} ${one.long}`,
    words: isFile(one) ? "@files" : (one.argChoices ?? []).join("\n"),
  }));
  const words = [...commands.map(line), ...choices, ...flags].join("\n");
  return [{ behind: path, words }, ...valued];
};

const fishParts = (places: readonly Place[]) => {
  const valued = places.flatMap(({ path, options }) =>
    options.filter(isValued).map((one) => fishQuoted(`${path} ${one.long}`)),
  );
  return {
    paths: places.map(({ path }) => fishQuoted(path)).join(" "),
    valued: valued.join(" "),
    lines: places.flatMap(fishLines).join("\n"),
  };
};

const fishLines = ({ path, commands, choices, options }: Place): string[] => {
  const here = `complete -c outrider -n ${fishQuoted(`__outrider_at ${fishQuoted(path)}`)}`;
  const values = ({ argChoices = [] }: Option) => ` -x -a ${fishQuoted(argChoices.join(" "))}`;
  const taking = (one: Option) => (isFile(one) ? " -r -F" : isValued(one) ? values(one) : "");
  return [
    ...commands.map(({ name, about }) => `${here} -a ${name} -d ${fishQuoted(about)}`),
    ...choices.map((one) => `${here} -a ${one}`),
    ...options.map((one) => {
      const name = (one.long ?? "").replace(/^--/, "");
      return `${here} -l ${name}${taking(one)} -d ${fishQuoted(one.description)}`;
    }),
  ];
};

const fishQuoted = (text: string): string =>
  `'${text.replaceAll("\\", "\\\\").replaceAll("'", String.raw`\'`)}'`;
