/** The child of the shop's worker in which events run that a worker may have died of. */

import { serveSuspects } from "@outrider/inbox";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect } from "@outrider/postgres";
import { createLogger, runProcess, settingsOrExit } from "@outrider/runtime";
import { catalogue } from "./topics.ts";
import {
  connectHandlers,
  createHandlers,
  group,
  handlerParts,
  workerSchema,
} from "./worker-parts.ts";

const name = "shop-suspect";
const settings = settingsOrExit(workerSchema, { env: process.env });
const log = createLogger({ name, level: settings.logLevel });

await runProcess({ name, log }, async (onStop) => {
  const { databaseUrl: url, deployment } = settings;
  const clientId = `outrider-${deployment}-${name}`;
  const db = connectHandlers({ url, name: clientId, poolMax: 1 });
  onStop("database", () => db.$client.end({ timeout: 2 }));
  const sql = connect({ url, name: clientId, poolMax: 1 });
  onStop("platform database", () => sql.end({ timeout: 2 }));
  const outbox = createOutbox(catalogue);
  const stopping = new AbortController();
  onStop("handlers", () => stopping.abort());
  serveSuspects(createHandlers(handlerParts(settings)), {
    sql,
    log,
    transact: (work) => outbox.transact(db, work),
    random: Math.random,
    group,
    writeRecord,
    stopping: stopping.signal,
  });
});
