/** Fills a topic with counted events; prints one line. */

import { setTimeout as delay } from "node:timers/promises";
import { countedRecord } from "./counted-record.ts";
import { openProducer } from "./producer.ts";

const [topic = "", count = "0", keyCount = "1"] = process.argv.slice(2);
const [events, keys] = [Number(count), Number(keyCount)];

const producer = await openProducer(topic, 5);
for (let n = 0; n < events; n += 1) {
  const record = countedRecord({ topic, key: `key-${n % keys}`, n: Math.floor(n / keys) + 1 });
  while (!producer.send(record)) await delay(2);
}
await producer.drained();
await producer.close();
console.log(JSON.stringify({ events }));
process.exit(0);
