/** Commands of `outrider` in the test's own process: what they say, and their exit code. */

import { isFault } from "@outrider/event";
import { Command, CommanderError } from "commander";
import type { Finish } from "../../apps/cli/src/arguments.ts";
import { addOperators } from "../../apps/cli/src/main.ts";
import { createTestContext } from "./cli.ts";

export type Answer = Readonly<{ stdout: string; stderr: string; code: number }>;

/** A database, or an operations API elsewhere. */
export type Given =
  | Readonly<{ databaseUrl: string; kafka?: Readonly<{ bootstrapServers: string }> }>
  | Readonly<{ url: string; key: string }>;

export const runOutrider = async (given: Given, args: readonly string[]): Promise<Answer> => {
  const settings =
    "url" in given
      ? { outrider: { stack: "embedded" as const, ...given } }
      : { ...given, outrider: { stack: "embedded" as const } };
  const context = createTestContext({ settings });
  const errors: string[] = [];
  let code = 0;
  const run = (async (verb: Parameters<Finish>[0]) => {
    code = await verb(context).catch((error: unknown) => {
      if (!isFault(error)) throw error;
      errors.push(`${error.message}\n`);
      return 1;
    });
  }) as unknown as Finish;
  const program = new Command("outrider")
    .exitOverride()
    .configureOutput({ writeErr: (text) => void errors.push(text) });
  addOperators(program, run);
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    code = error.exitCode;
  }
  const stdout = context.said.map((line) => `${line}\n`).join("");
  return { stdout, stderr: errors.join(""), code };
};
