/**
 * Consumes a topic in one way, from the first record that the client delivers to the last event
 * that is done. Prints one line of JSON.
 */

import type { Log, Subscribe } from "@outrider/event";
import { createSubscribe } from "@outrider/kafka";
import { connect } from "@outrider/postgres";
import { silentLog } from "../support/silent-log.ts";
import { testEnvironment, testKafka } from "../support/environment.ts";
import { batchHandler, drizzleHandler, dropAll, handleAll } from "./consume-ways.ts";
import { insertAndAdd, insertOnly, singleHandler } from "./consume-ways.ts";
import type { Consume } from "./consume-ways.ts";
import { percentile } from "./statistics.ts";

const [way = "", topic = "", name = "", count = "0"] = process.argv.slice(2);
const events = Number(count);
const url = testEnvironment().DATABASE_URL ?? "";

const ways: Readonly<Partial<Record<string, (consume: Consume) => () => Promise<void>>>> = {
  C0: dropAll,
  C1: insertOnly,
  C2: insertAndAdd,
  batch: (consume) => handleAll(consume, batchHandler),
  single: (consume) => handleAll(consume, singleHandler),
  drizzle: (consume) => handleAll(consume, drizzleHandler),
};
const start = ways[way];
if (!start) throw new Error(`There is no way ${way}`);

const complain = (fields: object, message: string): void => console.error(message, fields);
const log: Log = { ...silentLog, warn: complain, error: complain };

let startedMs = 0;
let cpu = process.cpuUsage();
const subscribe: Subscribe = (group, topics, { onRecords, ...rest }) =>
  createSubscribe(testKafka(), log, { clientId: "bench-consume" })(group, topics, {
    ...rest,
    onRecords: (records) => {
      if (startedMs === 0) {
        startedMs = performance.now();
        cpu = process.cpuUsage();
      }
      onRecords(records);
    },
  });

const sql = connect({ url, name: "bench-consume", poolMax: 12 });
const sizes: number[] = [];
let done = 0;
const stop = await new Promise<() => Promise<void>>((resolve) => {
  const stopping = start({
    ...{ name, topic, url, sql, subscribe, log },
    onDone: (size) => {
      sizes.push(size);
      done += size;
      if (done >= events) setImmediate(resolve, stopping);
    },
  });
});
const ms = performance.now() - startedMs;
const { user, system } = process.cpuUsage(cpu);
const rssBytes = process.resourceUsage().maxRSS * 1024;
await stop();
await sql.end();
const batchP50 = percentile(sizes, 0.5);
console.log(JSON.stringify({ events, ms, cpuS: (user + system) / 1e6, rssBytes, batchP50 }));
process.exit(0);
