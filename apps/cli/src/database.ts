/** The database that a command works on. */

import { join } from "node:path";
import { fault } from "@outrider/event";
import { connect, createPoolerCheck } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { readStackFile } from "@outrider/stack";
import type { Context } from "./main.ts";

/** What runs in this folder, if anything does. */
export const runningIn = ({ stateRoot }: Context) => readStackFile(join(stateRoot, ".outrider"));

/** DATABASE_URL, else that of what runs in this folder. Throws `settings_invalid`. */
export const databaseUrlOf = (context: Context): string => {
  const { settings } = context;
  const running = runningIn(context);
  const url = settings.databaseUrl ?? running?.services.postgres?.url;
  if (url) return url;
  const hint = "set it, or start `bun run dev`";
  throw fault("settings_invalid", `DATABASE_URL says which database to work on; ${hint}.`);
};

export const withDatabase = async <T>(
  context: Context,
  act: (sql: Sql) => Promise<T>,
): Promise<T> => {
  const url = databaseUrlOf(context);
  await createPoolerCheck(url)();
  const sql = connect({ url, name: "outrider-cli", poolMax: 4 });
  try {
    return await act(sql);
  } finally {
    await sql.end({ timeout: 1 });
  }
};
