/** The `outrider` command: reads arguments and environment, and hands over to one verb. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isFault } from "@outrider/event";
import type { Profile } from "@outrider/event";
import { settingsOrExit } from "@outrider/runtime";
import { describeHost } from "@outrider/stack";
import { Command, Option } from "commander";
import { check } from "./check.ts";
import { apiOf, refuseIncomplete, withApi } from "./arguments.ts";
import type { Api, Finish } from "./arguments.ts";
import { addCompletions } from "./completions.ts";
import { addDead } from "./dead-command.ts";
import { dev } from "./dev.ts";
import { migrate } from "./migrate.ts";
import { addRedrive } from "./redrive-command.ts";
import { addRelay } from "./relay-command.ts";
import { addKeys, addLooks } from "./look-command.ts";
import { addOperation, addParked } from "./parked-command.ts";
import { addPartition } from "./partition-command.ts";
import { addReplay } from "./replay-command.ts";
import { createReporter } from "./reporter.ts";
import { cliSettings } from "./settings.ts";
import { abortOnStop } from "./stop-signal.ts";
import { topics } from "./topics.ts";

/** Runs the command of this process's arguments, and ends the process. */
export const main = async (root: string): Promise<void> => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    version: string;
  };
  const program = withApi(new Command("outrider"))
    .description("Outrider gets an event from its transaction to every handler that needs it.")
    .version(version)
    .showHelpAfterError("see --help");

  program
    .command("dev")
    .description("start the services and the apps, and keep them running")
    .option("--fresh", "throw away the data of earlier runs first")
    .action(({ fresh = false }: { fresh?: boolean }) => finish(dev(context(root), { fresh })));
  program
    .command("migrate")
    .description("apply the SQL migrations to DATABASE_URL")
    .action(() => finish(Promise.try(() => migrate(context(root, apiOf(program))))));
  program
    .command("check")
    .description("types, lint, format and the repository's own rules; needs no service")
    .action(() => finish(check(context(root))));

  const profile = new Option("--profile <name>", "replication for one broker or for three")
    .choices(["dev", "production"])
    .default("dev");
  const topicsCommand = program
    .command("topics")
    .description("compare the topic catalogue with the cluster");
  topicsCommand
    .command("plan")
    .description("say what apply would do")
    .addOption(profile)
    .action((options: { profile: Profile }) =>
      finish(topics(context(root, apiOf(program)), "plan", options)),
    );
  topicsCommand
    .command("apply")
    .description("create what is missing and report what differs")
    .addOption(profile)
    .action((options: { profile: Profile }) =>
      finish(topics(context(root, apiOf(program)), "apply", options)),
    );

  // A verb may throw before it has a promise.
  const run: Finish = (verb) => finish(Promise.try(() => verb(context(root, apiOf(program)))));
  addOperators(program, run);
  addCompletions(program, (script) => void process.stdout.write(script));
  await program.parseAsync();
};

/** Everything that operators look at and decide. */
export const addOperators = (program: Command, run: Finish): void => {
  refuseIncomplete(program);
  const watching = [addLooks, addRelay, addPartition, addParked, addDead];
  const deciding = [addRedrive, addReplay, addOperation, addKeys];
  for (const add of [...watching, ...deciding]) add(program, run);
};

/** What a verb may use of the world. */
export type Context = ReturnType<typeof context>;

const context = (root: string, api: Api = {}) => {
  const { stdout, env } = process;
  // A reader that goes away (`| head`, a closed terminal) ends what is shown, and leaves nothing.
  const gone = new AbortController();
  stdout.on("error", () => gone.abort(new Error("stopped, since nobody reads it")));
  return {
    root,
    /** Whose `.outrider` holds data, logs and what runs. */
    stateRoot: root,
    host: describeHost(env),
    settings: settingsOrExit(cliSettings, { env, overrides: { outrider: api } }),
    /** The Bun that runs us. */
    bun: process.execPath,
    report: createReporter({
      write: (text) => void stdout.write(text),
      columns: () => (stdout.isTTY ? stdout.columns || 80 : undefined),
      nowMs: () => performance.now(),
    }),
    /** Somebody sees what it prints: it may draw. */
    isTerminal: stdout.isTTY === true,
    signal: AbortSignal.any([abortOnStop(env), gone.signal]),
  };
};

/** Ends with the verb's exit code; what it throws becomes one sentence. */
const finish = async (verb: Promise<number>): Promise<never> => {
  try {
    process.exit(await verb);
  } catch (error) {
    if (!isFault(error)) {
      console.error(error);
      process.exit(1);
    }
    console.error(error.message);
    const { output } = error.details;
    if (typeof output === "string") {
      const tail = output.trimEnd().split("\n").slice(-15);
      console.error(tail.map((line) => `  | ${line}`).join("\n"));
    }
    process.exit(1);
  }
};
