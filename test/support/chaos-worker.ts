/** A worker of the fault tests, on Node, as an app's would be. */

import { join } from "node:path";
import { createLogReader } from "@outrider/broker";
import { createOpenTimers } from "@outrider/bullmq";
import { createHealth } from "@outrider/http";
import { createIsolation, startInbox } from "@outrider/inbox";
import { createSubscribe, poolThreadsFor } from "@outrider/kafka";
import type { SubscriberSettings } from "@outrider/kafka";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase } from "@outrider/postgres";
import { createLogger, createRegistry, runProcess, serveOnNode } from "@outrider/runtime";
import { catalogue, chaosHandlers } from "./chaos-handlers.ts";

const { DATABASE_URL: url = "", KAFKA_BOOTSTRAP_SERVERS: bootstrapServers = "" } = process.env;
const [groupProtocol, assignmentStrategy] = (process.env.CHAOS_PROTOCOL ?? "consumer").split(":");
const name = "chaos-worker";
const log = createLogger({ name, level: "warn" });
const groups = new Set(chaosHandlers.map((handler) => handler.group));
process.env.UV_THREADPOOL_SIZE ??= String(poolThreadsFor(groups.size));

await runProcess({ name, log }, async (onStop) => {
  const limits = { idleInTransactionTimeoutMs: 30_000, lockTimeoutMs: 2000 };
  const db = connectDatabase({ url, name: "outrider-chaos-worker", poolMax: 10, ...limits });
  onStop("database", () => db.$client.end({ timeout: 2 }));
  const sql = connect({ url, name: "outrider-chaos-worker", poolMax: 4 });
  onStop("platform database", () => sql.end({ timeout: 2 }));
  const outbox = createOutbox(catalogue);
  const protocol = {
    ...{ groupProtocol, sessionTimeoutMs: 6000 },
    ...(assignmentStrategy && { assignmentStrategy }),
  } as Partial<SubscriberSettings>;
  const logs = createLogReader({ bootstrapServers });
  onStop("log reader", () => logs.close());
  const inbox = startInbox(
    chaosHandlers,
    {
      sql,
      transact: (work) => outbox.transact(db, work),
      subscribe: createSubscribe({ bootstrapServers }, log, { clientId: name, ...protocol }),
      readLogs: logs.readLogs,
      log,
      random: Math.random,
      writeRecord,
      openTimers: createOpenTimers(process.env.REDIS_URL ?? "", log),
      isolation: createIsolation({
        entry: join(import.meta.dirname, "chaos-suspect.ts"),
        log,
      }),
    },
    { group: "chaos", claimMs: 5000, readerDeadMs: 3000, openCapMs: 2000 },
  );
  onStop("handlers", () => inbox.stop());
  const registry = createRegistry({ service: name, deployment: "chaos" });
  const consumers = async () => {
    if (inbox.state().some((one) => !one.isJoined)) throw new Error("not joined");
  };
  const { fetch } = createHealth({ checks: { consumers }, registry });
  const port = Number(process.env.PORT);
  const server = await serveOnNode({ fetch, host: "127.0.0.1", port });
  onStop("server", () => server.close());
});
