/** The process for suspect events of the mortal worker. */

import { serveSuspects } from "@outrider/inbox";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import { createLogger } from "@outrider/runtime";
import { catalogue, mortal, mortalTopic } from "./mortal.ts";

const url = process.env.DATABASE_URL ?? "";
const name = "mortal-suspect";
const db = connectDatabase({ url, name, poolMax: 1 });

serveSuspects([mortal], {
  sql: connect({ url, name, poolMax: 1 }),
  transact: (work) => createOutbox(catalogue).transact(db, work),
  log: createLogger({ name, level: "warn" }),
  random: Math.random,
  group: mortalTopic,
  writeRecord,
  stopping: new AbortController().signal,
});
