/**
 * `bench operations`: how long an operator waits for the operations API, with many parked events,
 * dead letters and inbox rows. It is asked in this process, without a server between.
 */

import { applyTopics, createTopicReader } from "@outrider/broker";
import { createOpenTimers, openRetryQueues } from "@outrider/bullmq";
import { defineTopic, partitionOf } from "@outrider/event";
import type { KafkaConnection } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { fillOperations } from "../support/fill-operations.ts";
import { eventPath, findPlaces } from "../support/operation-looks.ts";
import { lifeLooks, listLooks, previewLooks } from "../support/operation-looks.ts";
import type { Look, Places } from "../support/operation-looks.ts";
import { createTestOperations } from "../support/operations.ts";
import type { TestOperations } from "../support/operations.ts";
import { produce } from "../support/produce.ts";
import { createRedisUnderTest } from "../support/redis-under-test.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";
import type { BenchContext } from "./sample.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

export type Looked = Readonly<{ name: string; ms: Spread }>;

export type OperationsBench = Readonly<{
  /** Parked keys, dead letters, waiting events, and lines of the audit: so many of each. */
  each: number;
  inbox: number;
  runs: number;
  lists: readonly Looked[];
  lives: readonly Looked[];
  /** With Kafka. */
  onKafka: readonly Looked[];
  previews: readonly Looked[];
}>;

/** The inbox is so much larger. */
const inboxTimes = 100;
const runsPerRound = 5;
const partitions = 12;
export const recordsOnKafka = 20_000;
const topic = "topic-1";

export const benchOperations = async (
  context: BenchContext,
  each: number,
): Promise<OperationsBench> => {
  const inbox = each * inboxTimes;
  const redis = await createRedisUnderTest();
  const kafka = { bootstrapServers: context.stage.bootstrapServers };
  const reader = createTopicReader(kafka);
  await redis.start();
  const retryQueues = openRetryQueues(redis.url);
  const alone = await createTestOperations(context.url, { retryQueues });
  const withKafka = await createTestOperations(context.url, { kafka: reader });
  try {
    const sizes = { parked: each, letters: each, inbox, outbox: each, audit: each };
    await fillOperations(alone.sql, sizes, context.say);
    await setTimers(redis.url, alone.sql);
    context.say("vacuuming");
    await alone.sql.unsafe("vacuum analyze");
    const places = await findPlaces(alone.sql);
    const timers = [{ name: "retry queue", path: "/v1/retry-queue" }];
    const onKafka = await writeRecords(kafka, { api: withKafka, places });
    const measured = {
      lists: await measure(context, alone, [...listLooks(places), ...timers]),
      lives: await measure(context, alone, lifeLooks(places)),
      onKafka: await measure(context, withKafka, onKafka),
      previews: await measure(context, alone, previewLooks()),
    };
    return { each, inbox, runs: runsPerRound * context.rounds, ...measured };
  } finally {
    await Promise.all([alone.close(), withKafka.close(), reader.close(), retryQueues.close()]);
    await redis.remove();
  }
};

const timersMax = 1000;

/** A timer for each of the first parked keys. */
const setTimers = async (url: string, sql: Sql): Promise<void> => {
  const rows = await sql<{ id: string }[]>`
    select id from outrider.parked_heads where due_at < 'infinity' order by id limit ${timersMax}`;
  const timers = createOpenTimers(url, silentLog)("shop", () => {});
  await until(() => timers.isHealthy(), { what: "Redis" });
  await timers.set(rows.map(({ id }) => ({ id, delayMs: 3_600_000 })));
  await timers.close();
};

/** Events in Kafka: one that was handled, one that nobody has handled yet, and none. */
const writeRecords = async (
  kafka: KafkaConnection,
  { api, places }: Readonly<{ api: TestOperations; places: Places }>,
): Promise<Look[]> => {
  const topics = Array.from({ length: 10 }, (_, at) =>
    defineTopic({ name: `topic-${at}`, partitions }),
  );
  await applyTopics(kafka, { topics, profile: "dev" });
  const records = Array.from({ length: recordsOnKafka }, (_, at) => ({
    ...{ id: Bun.randomUUIDv7(), key: `key-${at}`, atMs: Date.now() },
    partition: partitionOf(Buffer.from(`key-${at}`), partitions),
  }));
  await produce(kafka, topic, records);
  const [handled, last] = [records[0], records.at(-1)];
  if (!handled || !last) throw new Error("no records");
  await api.sql`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    values ('shop.handler-1', ${handled.id}, 'handled', ${topic}, ${handled.partition}, 0)`;
  const look = (name: string, path: string, status = 200): Look => ({ name, path, status });
  return [
    look("handled event, its record is there", eventPath(handled.id)),
    look("handled event, its record is gone", eventPath(places.events.handled)),
    look("an event that is only in Kafka", eventPath(last.id)),
    look("the same, its topic and key said", eventPath(last.id, { topic, key: last.key })),
    look("an event of now that nobody knows", eventPath(Bun.randomUUIDv7()), 404),
    look("handlers, with their lags", "/v1/handlers"),
  ];
};

const measure = async (
  { rounds, say }: BenchContext,
  api: TestOperations,
  looks: readonly Look[],
): Promise<Looked[]> => {
  const measured: Looked[] = [];
  for (const { name, path, status = 200 } of looks) {
    const times: number[] = [];
    for (let run = 0; run <= runsPerRound * rounds; run += 1) {
      const startedMs = performance.now();
      const response = await api.look(path);
      const text = await response.text();
      // The first one opens connections and fills caches.
      if (run > 0) times.push(performance.now() - startedMs);
      if (response.status !== status) throw new Error(`${name}: ${response.status} ${text}`);
    }
    const ms = spreadOf(times);
    measured.push({ name, ms });
    say(`${name}: ${ms.median.toFixed(1)} ms, at most ${ms.max.toFixed(1)} ms`);
  }
  return measured;
};
