/** A worker, on Node, that some events and a drill end. */

import { join } from "node:path";
import { createLogReader } from "@outrider/broker";
import { createIsolation, startInbox } from "@outrider/inbox";
import { createSubscribe } from "@outrider/kafka";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import { createLogger, runProcess } from "@outrider/runtime";
import { catalogue, mortal, mortalTopic } from "./mortal.ts";

const { DATABASE_URL: url = "", KAFKA_BOOTSTRAP_SERVERS: bootstrapServers = "" } = process.env;
const name = "mortal-worker";
const log = createLogger({ name, level: "warn" });
const protocol = { groupProtocol: "classic", sessionTimeoutMs: 6000 } as const;

await runProcess({ name, log }, async (onStop) => {
  const db = connectDatabase({ url, name, poolMax: 12, lockTimeoutMs: 2000 });
  onStop("database", () => db.$client.end({ timeout: 2 }));
  const sql = connect({ url, name, poolMax: 4 });
  onStop("platform database", () => sql.end({ timeout: 2 }));
  const logs = createLogReader({ bootstrapServers });
  onStop("log reader", () => logs.close());
  const inbox = startInbox(
    [mortal],
    {
      ...{ sql, log, random: Math.random, writeRecord, readLogs: logs.readLogs },
      transact: (work) => createOutbox(catalogue).transact(db, work),
      subscribe: createSubscribe({ bootstrapServers }, log, { clientId: name, ...protocol }),
      isolation: createIsolation({ entry: join(import.meta.dirname, "mortal-suspect.ts"), log }),
    },
    { group: mortalTopic },
  );
  onStop("handlers", () => inbox.stop());
});
