/**
 * Writes events to Kafka at a steady rate and handles them, on one clock: from when an event was to
 * be written to the commit of its handler. Some keys are in trouble; prints one line of JSON about
 * the others.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@outrider/event";
import { defineHandler } from "@outrider/inbox";
import type { Transact } from "@outrider/inbox";
import { createSubscribe } from "@outrider/kafka";
import { connect, rawSql } from "@outrider/postgres";
import type { Transaction } from "@outrider/postgres";
import { silentLog } from "../support/silent-log.ts";
import { testEnvironment, testKafka } from "../support/environment.ts";
import { handleAll } from "./consume-ways.ts";
import { countedRecord } from "./counted-record.ts";
import { isBeside, isTroubled, keyWays, suffer, troubled } from "./key-trouble.ts";
import { openProducer } from "./producer.ts";
import { percentile } from "./statistics.ts";
import { addOneRaw, checkKeys } from "./totals.ts";

const [wayName = "", topic = "", rateText = "", keysText = "", secondsText = ""] =
  process.argv.slice(2);
const [rate, keys, seconds] = [rateText, keysText, secondsText].map(Number) as [
  number,
  number,
  number,
];
const way = keyWays[wayName];
if (!way) throw new Error(`There is no way ${wayName}`);

/** Not counted, and without trouble: the client and the pools are still getting going. */
const warmUpMs = 3000;
/** For what is still to be handled when the last event is written. */
const restMs = 60_000;
/** Of each troubled key. */
const troubledPerS = 1;

type Written = { key: string; dueMs: number; handledMs?: number };
const written = new Map<string, Written>();
/** What runs in a transaction counts with its commit. */
const ranIn = new WeakMap<Transaction, string[]>();
let handled = 0;

const around =
  (transact: Transact): Transact =>
  async (work) => {
    let ran: string[] = [];
    const result = await transact((tx, emit) => {
      ran = [];
      ranIn.set(tx, ran);
      return work(tx, emit);
    });
    const handledMs = performance.now();
    for (const id of ran) Object.assign(written.get(id) ?? {}, { handledMs });
    handled += ran.length;
    return result;
  };

const complain: Log["error"] = (fields: object, message: string) => console.error(message, fields);
const url = testEnvironment().DATABASE_URL ?? "";
const sql = connect({ url, name: "bench-keys", poolMax: 12 });
const name = `bench-keys-${randomUUID()}`;
const log: Log = { ...silentLog, error: complain };
const subscribe = createSubscribe(testKafka(), log, { clientId: "bench-keys" });
const stop = handleAll(
  { name, topic, url, sql, subscribe, log, around, onDone: () => {} },
  (handler, counted) =>
    defineHandler({
      name: handler,
      on: [counted],
      concurrency: way.concurrency,
      run: async ({ id, data }, { tx }) => {
        await suffer(way, data.key, data.n);
        await addOneRaw(rawSql(tx), data);
        ranIn.get(tx)?.push(id);
      },
    }),
);

const producer = await openProducer(topic, 0);
const counts = new Map<string, number>();
const write = (key: string, dueMs: number): void => {
  const n = (counts.get(key) ?? 0) + 1;
  counts.set(key, n);
  const eventId = randomUUID();
  written.set(eventId, { key, dueMs });
  if (!producer.send(countedRecord({ topic, key, n, eventId }))) throw new Error("a full queue");
};

// The group has its partitions when the first event is handled.
write("key-0", performance.now());
while (handled === 0) await delay(10);
const startedMs = performance.now();
const total = Math.round(rate * (seconds + warmUpMs / 1000));
const perTrouble = Math.max(1, Math.round(rate / troubledPerS));
for (let n = 0; n < total;) {
  const due = Math.floor(((performance.now() - startedMs) / 1000) * rate);
  for (; n < Math.min(due, total); n += 1) {
    const dueMs = startedMs + (n / rate) * 1000;
    write(`key-${n % keys}`, dueMs);
    const isTurn = dueMs >= startedMs + warmUpMs && n % perTrouble === 0;
    if (isTurn) for (const key of Object.values(troubled)) write(key, dueMs);
  }
  await delay(1);
}
const others = [...written.values()].filter((one) => !isTroubled(one.key));
const deadlineMs = performance.now() + restMs;
const isOver = () => others.every((one) => one.handledMs !== undefined);
while (!isOver() && performance.now() < deadlineMs) await delay(50);
await stop();
const except = Object.values(troubled);
await checkKeys(sql, { events: others.filter((one) => one.handledMs).length, except });
await producer.close();
await sql.end();

const describe = (some: readonly Written[]) => {
  const ms = some.map((one) => (one.handledMs ?? Infinity) - one.dueMs);
  return { events: ms.length, p50: percentile(ms, 0.5), p99: percentile(ms, 0.99) };
};
const counted = others.filter((one) => one.dueMs >= startedMs + warmUpMs);
console.log(
  JSON.stringify({
    beside: describe(counted.filter((one) => isBeside(one.key))),
    elsewhere: describe(counted.filter((one) => !isBeside(one.key))),
    lost: counted.filter((one) => one.handledMs === undefined).length,
  }),
);
process.exit(0);
