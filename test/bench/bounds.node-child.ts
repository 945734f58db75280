/**
 * The bounds that the relay is measured against, one a process: `r0` sends the messages from
 * memory, `r1` reads them out of Postgres and drops them, `r2` does both and is unsafe: it keeps
 * no order across failures, fences nothing and deletes nothing. Prints one line of JSON.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { PublishRecord } from "@outrider/event";
import { connect } from "@outrider/postgres";
import { createCursor } from "../../packages/outbox/src/relay/copy.ts";
import { pendingColumns, pendingRowOf } from "../../packages/outbox/src/relay/read.ts";
import { recordOf } from "../../packages/outbox/src/relay/record.ts";
import { testEnvironment } from "../support/environment.ts";
import { openProducer } from "./producer.ts";

const env = testEnvironment();
const [mode, topic = "", count = "0", keys = "1"] = process.argv.slice(2);
const events = Number(count);
/** In memory at a time, for r0. */
const windowSize = 20_000;
/** What was fastest here (docs/performance.md). */
const lingerMs = 5;

const readAll = async (onRecord: (record: PublishRecord) => boolean): Promise<void> => {
  const sql = connect({ url: env.DATABASE_URL ?? "", name: "bench-bounds", poolMax: 1 });
  const query = `copy (select ${pendingColumns} from outrider.outbox) to stdout (format binary)`;
  const stream = await sql.unsafe(query).readable();
  const cursor = createCursor();
  for await (const chunk of stream) {
    cursor.open(chunk as Buffer);
    while (cursor.next()) {
      const record = recordOf(pendingRowOf(cursor.fields));
      while (!onRecord(record)) await delay(2);
    }
  }
  await sql.end();
};

const memoryRecords = (from: number, size: number): PublishRecord[] =>
  Array.from({ length: size }, (_, index) => {
    const n = from + index;
    return recordOf({
      ...{ id: n, eventId: "0192f0c1-7a3e-7b54-9c55-3f0c8a1d2e4b", type: "bench.counted" },
      ...{ version: 1, sequence: null, topic, key: Buffer.from(`key-${n % Number(keys)}`) },
      headers:
        '{"ce_time": "2026-11-20T10:00:00.000Z", "ce_source": "bench", ' +
        '"content-type": "application/json"}',
      payload: Buffer.from(
        `{"n":${Math.floor(n / Number(keys)) + 1},"text":"`.padEnd(298, "x") + '"}',
      ),
      createdMs: 0,
    });
  });

const measure = async (act: () => Promise<void>): Promise<void> => {
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  await act();
  const ms = performance.now() - startedMs;
  const { user, system } = process.cpuUsage(cpu);
  console.log(JSON.stringify({ events, ms, cpuS: (user + system) / 1e6 }));
};

if (mode === "r1") {
  await measure(() => readAll(() => true));
} else {
  const producer = await openProducer(topic, lingerMs);
  if (mode === "r2") {
    await measure(async () => {
      await readAll(producer.send);
      await producer.drained();
    });
  } else {
    const records = memoryRecords(0, Math.min(windowSize, events));
    await measure(async () => {
      for (let sent = 0; sent < events; sent += 1) {
        const record = records[sent % records.length] as PublishRecord;
        while (!producer.send(record)) await delay(2);
      }
      await producer.drained();
    });
  }
  await producer.close();
}
process.exit(0);
