/** A worker of the drills, on Node, as an app's would be: so many groups on one topic. */

import { createLogReader } from "@outrider/broker";
import { createHealth } from "@outrider/http";
import { createIsolation, defineHandler, startInbox } from "@outrider/inbox";
import { createKafkaProbe, createSubscribe, poolThreadsFor } from "@outrider/kafka";
import type { SubscriberSettings } from "@outrider/kafka";
import { assertWell, judgeLife } from "@outrider/health";
import { createOutbox, writeRecord } from "@outrider/outbox";
import { connect, connectDatabase, rawSql } from "@outrider/postgres";
import { createLogger, createRegistry, runProcess, serveOnNode } from "@outrider/runtime";
import { countedOn } from "./counted.ts";

const { DATABASE_URL: url = "", KAFKA_BOOTSTRAP_SERVERS: bootstrapServers = "" } = process.env;
const { DRILL_TOPIC: topic = "", DRILL_PROTOCOL = "consumer", DRILL_GROUPS = "2" } = process.env;
const { DRILL_SESSION_MS: sessionMs } = process.env;
const [groupProtocol, assignmentStrategy] = DRILL_PROTOCOL.split(":");
const protocol = {
  groupProtocol,
  ...(assignmentStrategy && { assignmentStrategy }),
  ...(sessionMs && { sessionTimeoutMs: Number(sessionMs) }),
} as Partial<SubscriberSettings>;
const name = "drill-worker";
const log = createLogger({ name, level: "warn" });
const groups = Array.from({ length: Number(DRILL_GROUPS) }, (_, at) => `${topic}-${at}`);
process.env.UV_THREADPOOL_SIZE ??= String(poolThreadsFor(groups.length));

const { definition, catalogue } = countedOn(topic);
const handlers = groups.map((group) =>
  defineHandler({
    ...{ name: group, group, on: [definition] },
    run: async ({ id }, { tx }) => {
      await rawSql(tx)`insert into public.effects (handler, event_id) values (${group}, ${id})`;
    },
  }),
);

await runProcess({ name, log }, async (onStop) => {
  const db = connectDatabase({ url, name, poolMax: 10, lockTimeoutMs: 2000 });
  onStop("database", () => db.$client.end({ timeout: 2 }));
  const sql = connect({ url, name, poolMax: 4 });
  onStop("platform database", () => sql.end({ timeout: 2 }));
  const probe = createKafkaProbe({ bootstrapServers }, log, { clientId: `${name}-probe` });
  onStop("Kafka probe", () => probe.close());
  const outbox = createOutbox(catalogue);
  const logs = createLogReader({ bootstrapServers });
  onStop("log reader", () => logs.close());
  const inbox = startInbox(
    handlers,
    {
      ...{ sql, log, random: Math.random, writeRecord, readLogs: logs.readLogs },
      transact: (work) => outbox.transact(db, work),
      subscribe: createSubscribe({ bootstrapServers }, log, { clientId: name, ...protocol }),
      isolation: createIsolation({ entry: "none", log }),
    },
    { group: topic },
  );
  onStop("handlers", () => inbox.stop());
  const checks = {
    kafka: () => probe.check(),
    /** Every group of it reads some partition. */
    partitions: () => {
      if (inbox.state().some((one) => one.partitions === 0)) throw new Error("reads nothing");
    },
  };
  const limits = { callMaxMs: 10_000, silenceMaxMs: 60_000, unreadMaxMs: 120_000 };
  const living = { consumers: () => assertWell(judgeLife({ groups: inbox.state(), limits })) };
  const registry = createRegistry({ service: name, deployment: "drill" });
  const { fetch } = createHealth({ checks, living, registry });
  const server = await serveOnNode({ fetch, host: "127.0.0.1", port: Number(process.env.PORT) });
  onStop("server", () => server.close());
});
