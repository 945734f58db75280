/** The process for what `deadly` does to one. */

import { serveSuspects } from "@outrider/inbox";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import { catalogue, deadly } from "./deadly.ts";
import { silentLog } from "./silent-log.ts";

const url = process.argv[2] ?? "";
const db = connectDatabase({ url, name: "deadly", poolMax: 1 });

serveSuspects([deadly], {
  sql: connect({ url, name: "deadly-platform", poolMax: 1 }),
  transact: (work) => createOutbox(catalogue).transact(db, work),
  log: silentLog,
  random: () => 0,
  group: "test",
  writeRecord,
  stopping: new AbortController().signal,
});
