/**
 * A peer: the polling listener of the npm package pg-transactional-outbox, in a table of its own,
 * with the stock producer as its handler. A segment is a key, so that it keeps the order that the
 * relay keeps. Its settings are in its favour: a short poll, and a full batch from the beginning.
 * Prints one line of JSON.
 */

import { createRequire } from "node:module";
import { join } from "node:path";
import type { PublishRecord } from "@outrider/event";
import { testEnvironment } from "../support/environment.ts";
import { openProducer } from "./producer.ts";

const env = testEnvironment();
const [folder = "", topic = "", count = "0", keys = "1"] = process.argv.slice(2);
const events = Number(count);
const batch = 100;
const pollMs = 10;
const payloadText = "x".repeat(280);

type Message = Readonly<{ id: string; segment: string; payload: unknown }>;
type Client = {
  connect(): Promise<void>;
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  end(): Promise<void>;
};
type Peer = {
  DatabaseSetup: Record<
    "dropAndCreateTable" | "createPollingFunction" | "setupPollingIndexes",
    (config: object) => string
  >;
  getDisabledLogger(): object;
  initializePollingMessageListener(
    config: object,
    handler: { handle(message: Message): Promise<void> },
    logger: object,
    strategies: object,
  ): [() => Promise<void>];
};

const load = createRequire(join(folder, "package.json"));
const { DatabaseSetup, getDisabledLogger, initializePollingMessageListener } = load(
  "pg-transactional-outbox",
) as Peer;
const pg = load("pg") as { Client: new (config: object) => Client };

const database = { connectionString: env.DATABASE_URL, max: 20 };
const spec = {
  ...{ outboxOrInbox: "outbox", database: "", schema: "peer", table: "outbox" },
  ...{ listenerRole: "", nextMessagesName: "next_outbox_messages" },
};

const client = new pg.Client(database);
await client.connect();
await client.query(DatabaseSetup.dropAndCreateTable(spec));
await client.query(DatabaseSetup.createPollingFunction(spec));
await client.query(DatabaseSetup.setupPollingIndexes(spec));
await client.query(
  `insert into peer.outbox
     (id, aggregate_type, aggregate_id, message_type, segment, payload, created_at)
   select gen_random_uuid(), 'bench', 'one', 'counted', 'key-' || n % $2::int,
     jsonb_build_object('n', n / $2::int + 1, 'text', $3::text),
     '2026-11-20T10:00:00Z'::timestamptz + n * interval '1 ms'
   from generate_series(0, $1::int - 1) as n`,
  [events, Number(keys), payloadText],
);
await client.query("vacuum analyze peer.outbox");

const producer = await openProducer(topic, 0);
const text = (value: string): Buffer => Buffer.from(value);
const constant: PublishRecord["headers"][number][] = [
  { ce_specversion: text("1.0") },
  { ce_type: text("bench.counted") },
  { ce_dataschema: text("/events/bench.counted/1") },
  { ce_source: text("bench") },
  { "content-type": text("application/json") },
];
const handle = async ({ id, segment, payload }: Message): Promise<void> => {
  await producer.sendAwaited({
    topic,
    key: text(segment),
    value: text(JSON.stringify(payload)),
    headers: [
      ...constant,
      { ce_id: id },
      { ce_subject: segment },
      { ce_time: "2026-11-20T10:00:00.000Z" },
    ],
  });
};

const cpu = process.cpuUsage();
const startedMs = performance.now();
const settings = {
  ...{ dbSchema: "peer", dbTable: "outbox", enableMaxAttemptsProtection: false },
  ...{ enablePoisonousMessageProtection: false, nextMessagesFunctionSchema: "peer" },
  ...{ nextMessagesFunctionName: "next_outbox_messages", nextMessagesBatchSize: batch },
  ...{ nextMessagesPollingIntervalInMs: pollMs },
};
const [stop] = initializePollingMessageListener(
  { outboxOrInbox: "outbox", dbListenerConfig: database, settings },
  { handle },
  getDisabledLogger(),
  { batchSizeStrategy: () => Promise.resolve(batch) },
);
for (;;) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  const { rows } = await client.query(
    "select exists (select from peer.outbox where processed_at is null) as waits",
  );
  if (rows[0]?.waits === false) break;
}
const ms = performance.now() - startedMs;
const { user, system } = process.cpuUsage(cpu);
console.log(JSON.stringify({ events, ms, cpuS: (user + system) / 1e6 }));
await stop();
await client.query("drop schema peer cascade");
await client.end();
await producer.close();
process.exit(0);
