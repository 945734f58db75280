/**
 * From commit to consumer on one clock: this process writes events at a steady rate, whatever
 * comes back, and receives them; the relay is a process of its own. With `direct` the events go
 * straight to Kafka: the least that any relay can take. Prints one line of JSON.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import kafka from "@confluentinc/kafka-javascript";
import { connectDatabase } from "@outrider/postgres";
import { testEnvironment } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import { percentile } from "./statistics.ts";

const env = testEnvironment();
const [way = "", topic = "", rateText = "0", secondsText = "0"] = process.argv.slice(2);
const rate = Number(rateText);
const seconds = Number(secondsText);
/** Not counted: the relay's producers and this process are still getting going. */
const warmUpMs = 3000;
const timeout = 10_000;

type Times = { intended: number; committed?: number; received?: number };

const times = new Map<string, Times>();

const consumer = new kafka.KafkaConsumer(
  {
    "bootstrap.servers": env.KAFKA_BOOTSTRAP_SERVERS,
    "group.id": `bench-${randomUUID()}`,
    "enable.auto.commit": false,
    "fetch.wait.max.ms": 100,
  },
  { "auto.offset.reset": "latest" },
);
await new Promise<void>((resolve, reject) => {
  consumer.connect({ timeout }, (error: unknown) => (error ? reject(error) : resolve()));
});
consumer.assign(Array.from({ length: 12 }, (_, partition) => ({ topic, partition, offset: 0 })));
consumer.on("data", ({ headers }) => {
  const received = performance.now();
  for (const header of headers ?? []) {
    const found = times.get(String(header.ce_id));
    if (found) found.received = received;
  }
});
consumer.consume();

const db = connectDatabase({ url: env.DATABASE_URL ?? "", name: "bench-writer", poolMax: 16 });
const { outbox, create } = countingOn(topic);
const startedMs = performance.now();

const producer = new kafka.Producer({
  "bootstrap.servers": env.KAFKA_BOOTSTRAP_SERVERS,
  acks: -1,
  "enable.idempotence": true,
  "linger.ms": 0,
  "compression.codec": "lz4",
});
if (way === "direct") {
  await new Promise<void>((resolve, reject) => {
    producer.connect({ timeout }, (error: unknown) => (error ? reject(error) : resolve()));
  });
  producer.setPollInBackground(true);
}

const write = async (n: number): Promise<void> => {
  const event = create(`key-${n % 1000}`, Math.floor(n / 1000) + 1, "x".repeat(200));
  const one: Times = { intended: startedMs + (n / rate) * 1000 };
  times.set(event.id, one);
  if (way === "direct") {
    one.committed = performance.now();
    const value = Buffer.from(JSON.stringify(event.data));
    const headers = [{ ce_id: event.id }];
    producer.produce(topic, null, value, event.key, Date.now(), undefined, headers);
    return;
  }
  await outbox.transact(db, async (_tx, emit) => emit(event));
  one.committed = performance.now();
};

const total = Math.round(rate * (seconds + warmUpMs / 1000));
const writing: Promise<void>[] = [];
for (let n = 0; n < total;) {
  const due = Math.floor(((performance.now() - startedMs) / 1000) * rate);
  for (; n < Math.min(due, total); n += 1) writing.push(write(n));
  await delay(1);
}
await Promise.all(writing);
for (let turn = 0; turn < 100 && [...times.values()].some((one) => !one.received); turn += 1) {
  await delay(100);
}
const counted = [...times.values()].filter((one) => one.intended > startedMs + warmUpMs);
const lost = counted.filter((one) => one.received === undefined).length;
const sinceCommit = counted.map((one) => (one.received ?? Infinity) - (one.committed ?? 0));
const sinceIntended = counted.map((one) => (one.received ?? Infinity) - one.intended);
const describe = (values: readonly number[]) => ({
  p50: percentile(values, 0.5),
  p99: percentile(values, 0.99),
  p999: percentile(values, 0.999),
  max: percentile(values, 1),
});
console.log(
  JSON.stringify({
    ...{ rate, events: counted.length, lost },
    sinceCommit: describe(sinceCommit),
    sinceIntended: describe(sinceIntended),
  }),
);
process.exit(0);
