/** Reads a topic again for one of the shop's handlers, as `outrider replay` tells it to. */

import { join } from "node:path";
import { readRanges } from "@outrider/broker";
import { createIsolation, runReplay } from "@outrider/inbox";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect } from "@outrider/postgres";
import { readReplay } from "@outrider/redrive";
import { createLogger, settingsOrExit } from "@outrider/runtime";
import * as v from "valibot";
import { catalogue } from "./topics.ts";
import {
  connectHandlers,
  createHandlers,
  group,
  handlerParts,
  workerSchema,
} from "./worker-parts.ts";

const name = "shop-replay";
const settings = settingsOrExit(workerSchema, { env: process.env });
const log = createLogger({ name, level: settings.logLevel });
const order = v.parse(
  v.strictObject({ id: v.number(), isResumed: v.boolean() }),
  JSON.parse(process.argv[2] ?? "{}"),
);

const stopping = new AbortController();
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stopping.abort());
process.on("disconnect", () => stopping.abort());

const { databaseUrl: url, deployment, kafka } = settings;
const clientId = `outrider-${deployment}-${name}`;
const db = connectHandlers({ url, name: clientId, poolMax: 4 });
const sql = connect({ url, name: clientId, poolMax: 4 });
const outbox = createOutbox(catalogue);
let exitCode = 1;
try {
  const replay = await readReplay(sql, order.id);
  const handlers = createHandlers(handlerParts(settings));
  const handler = handlers.find((one) => one.name === replay.handler);
  if (!handler) throw new Error(`The shop has no handler ${replay.handler}`);
  const end = await runReplay(
    handler,
    { ...replay, isResumed: order.isResumed },
    {
      ...{ sql, log, group, writeRecord },
      transact: (work) => outbox.transact(db, work),
      random: Math.random,
      isolation: createIsolation({ entry: join(import.meta.dirname, "suspect.ts"), log }),
      readRanges: (reading) => readRanges(kafka, reading),
      signal: stopping.signal,
    },
  );
  exitCode = end === "done" ? 0 : 1;
} catch (error) {
  log.error({ err: error }, "the replay could not go on");
}
await Promise.all([db.$client.end({ timeout: 2 }), sql.end({ timeout: 2 })]);
process.exit(exitCode);
