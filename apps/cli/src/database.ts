/** The database that a command works on. */

import { join } from "node:path";
import { fault } from "@outrider/event";
import type { KafkaConnection } from "@outrider/event";
import { connect, createPoolerCheck } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { readStackFile } from "@outrider/stack";
import { orDatabaseFault } from "./database-fault.ts";
import type { Context } from "./main.ts";

/** What runs in this folder, if anything does. */
export const runningIn = ({ stateRoot }: Context) => readStackFile(join(stateRoot, ".outrider"));

/** Whoever names an API elsewhere does not mean the services of this machine. */
const refuseApi = ({ settings }: Context): void => {
  if (settings.outrider?.url === undefined) return;
  const hint = "leave out --url and OUTRIDER_URL";
  throw fault("settings_invalid", `This works on the services themselves, not on an API; ${hint}`);
};

/** DATABASE_URL, else that of what runs in this folder. Throws `settings_invalid`. */
export const databaseUrlOf = (context: Context): string => {
  refuseApi(context);
  const { settings } = context;
  const running = runningIn(context);
  const url = settings.databaseUrl ?? running?.services.postgres?.url;
  if (url) return url;
  const hint = "set it, or start `bun run dev`";
  throw fault("settings_invalid", `DATABASE_URL says which database to work on; ${hint}.`);
};

/** That of the settings, else that of what runs in this folder. */
export const findKafka = (context: Context): KafkaConnection | undefined => {
  const url = runningIn(context)?.services.kafka?.url;
  return context.settings.kafka ?? (url === undefined ? undefined : { bootstrapServers: url });
};

/** As `findKafka`. Throws `settings_invalid` where there is none. */
export const kafkaOf = (context: Context): KafkaConnection => {
  refuseApi(context);
  const kafka = findKafka(context);
  if (kafka) return kafka;
  const hint = "set it, or start `bun run dev`";
  throw fault("settings_invalid", `KAFKA_BOOTSTRAP_SERVERS names the cluster; ${hint}.`);
};

export const withDatabase = async <T>(
  context: Context,
  act: (sql: Sql) => Promise<T>,
): Promise<T> => {
  const url = databaseUrlOf(context);
  await orDatabaseFault(createPoolerCheck(url)());
  const sql = connect({ url, name: "outrider-cli", poolMax: 4 });
  try {
    return await orDatabaseFault(act(sql));
  } finally {
    await sql.end({ timeout: 1 });
  }
};
