/** Fills a topic with events of 300 bytes and 8 headers, as the relay would; prints one line. */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { recordOf } from "../../packages/outbox/src/relay/record.ts";
import { payloadBytes } from "./backlog.ts";
import { openProducer } from "./producer.ts";

const [topic = "", count = "0", keyCount = "1"] = process.argv.slice(2);
const [events, keys] = [Number(count), Number(keyCount)];
const headers =
  '{"ce_time": "2026-11-20T10:00:00.000Z", "ce_source": "bench", ' +
  '"content-type": "application/json"}';

const producer = await openProducer(topic, 5);
for (let n = 0; n < events; n += 1) {
  const key = `key-${n % keys}`;
  const start = `{"key":"${key}","n":${Math.floor(n / keys) + 1},"text":"`;
  const record = recordOf({
    ...{ id: n, eventId: randomUUID(), type: "bench.counted", version: 1, sequence: null, topic },
    ...{ key: Buffer.from(key), headers, createdMs: 0 },
    payload: Buffer.from(`${start.padEnd(payloadBytes - 2, "x")}"}`),
  });
  while (!producer.send(record)) await delay(2);
}
await producer.drained();
await producer.close();
console.log(JSON.stringify({ events }));
process.exit(0);
