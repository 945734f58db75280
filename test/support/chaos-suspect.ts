/** The process for suspect events of the fault tests' workers. */

import { serveSuspects } from "@outrider/inbox";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import { createLogger } from "@outrider/runtime";
import { catalogue, chaosHandlers } from "./chaos-handlers.ts";

const url = process.env.DATABASE_URL ?? "";
const outbox = createOutbox(catalogue);
const db = connectDatabase({ url, name: "outrider-chaos-suspect", poolMax: 1 });

serveSuspects(chaosHandlers, {
  sql: connect({ url, name: "outrider-chaos-suspect", poolMax: 1 }),
  transact: (work) => outbox.transact(db, work),
  log: createLogger({ name: "suspect", level: "warn" }),
  random: Math.random,
  group: "chaos",
  writeRecord,
  stopping: new AbortController().signal,
});
