/**
 * Reads a topic from its beginning and checks what the backlog's payloads say: every event there,
 * first appearances of a key in order and without a gap. Prints one line of JSON.
 */

import kafka from "@confluentinc/kafka-javascript";
import { testEnvironment } from "../support/environment.ts";
import { createOrderCheck } from "./order-check.ts";

const [topic = "", count = "0"] = process.argv.slice(2);
const timeout = 10_000;

const consumer = new kafka.KafkaConsumer(
  {
    "bootstrap.servers": testEnvironment().KAFKA_BOOTSTRAP_SERVERS,
    "group.id": "bench-verify",
    "enable.auto.commit": false,
  },
  { "auto.offset.reset": "earliest" },
);

const call = <T>(ask: (done: (error: unknown, value: T) => void) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    ask((error, value) => (error ? reject(error) : resolve(value)));
  });

await call((done) => consumer.connect({ timeout }, done));
const metadata = await call<{ topics: { name: string; partitions: { id: number }[] }[] }>((done) =>
  consumer.getMetadata({ topic, timeout }, done as never),
);
const partitions = metadata.topics.find((one) => one.name === topic)?.partitions ?? [];
const ends = await Promise.all(
  partitions.map(({ id }) =>
    call<{ highOffset: number }>((done) =>
      consumer.queryWatermarkOffsets(topic, id, timeout, done as never),
    ),
  ),
);
let left = ends.reduce((sum, { highOffset }) => sum + highOffset, 0);
consumer.assign(partitions.map(({ id }) => ({ topic, partition: id, offset: 0 })));
const check = createOrderCheck();
while (left > 0) {
  const messages = await call<{ key: Buffer; value: Buffer }[]>((done) =>
    consumer.consume(10_000, done as never),
  );
  for (const { key, value } of messages) check.note(key.toString("latin1"), value);
  left -= messages.length;
}
const result = check.result(Number(count));
await call((done) => consumer.disconnect(done as never));
console.log(JSON.stringify(result));
process.exit(0);
