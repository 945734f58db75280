/** Commands of `outrider` in the test's own process: what they say, and their exit code. */

import { isFault } from "@outrider/event";
import type { KafkaConnection } from "@outrider/event";
import { silentReport } from "@outrider/stack";
import { Command, CommanderError } from "commander";
import { apiOf, withApi } from "../../apps/cli/src/arguments.ts";
import type { Finish } from "../../apps/cli/src/arguments.ts";
import { addOperators } from "../../apps/cli/src/main.ts";
import type { Context } from "../../apps/cli/src/main.ts";
import { createTestContext } from "./cli.ts";

export type Answer = Readonly<{ stdout: string; stderr: string; code: number }>;

/** A database, or an operations API elsewhere. */
export type Given =
  | Readonly<{ databaseUrl: string; kafka?: KafkaConnection; redisUrl?: string }>
  | Readonly<{ url: string; key?: string }>;

export const runOutrider = async (
  given: Given,
  args: readonly string[],
  more: Pick<Partial<Context>, "signal" | "report" | "isTerminal"> = {},
): Promise<Answer> => {
  const said: string[] = [];
  const errors: string[] = [];
  let code = 0;
  const run = (async (verb: Parameters<Finish>[0]) => {
    const { url, key, ...services } = { url: undefined, key: undefined, ...given };
    const outrider = { ...(url && { url }), ...(key && { key }), ...apiOf(program) };
    const report = { ...silentReport, say: (line: string) => void said.push(line) };
    const context = createTestContext({ report, ...more, settings: { ...services, outrider } });
    code = await Promise.try(() => verb(context)).catch((error: unknown) => {
      if (!isFault(error)) throw error;
      errors.push(`${error.message}\n`);
      return 1;
    });
  }) as unknown as Finish;
  const program = withApi(new Command("outrider"))
    .exitOverride()
    .configureOutput({ writeErr: (text) => void errors.push(text) });
  addOperators(program, run);
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    code = error.exitCode;
  }
  const stdout = said.map((line) => `${line}\n`).join("");
  return { stdout, stderr: errors.join(""), code };
};
