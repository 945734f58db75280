/** Events written at a rate while something else is measured. */

import { setTimeout as delay } from "node:timers/promises";
import type { Sql } from "@outrider/postgres";

const sliceMs = 20;

/** Writes events of 300 bytes over 100,000 keys, in one statement. */
export const insertEvents = (sql: Sql, topic: string, events: number) => sql`
  insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
  select gen_random_uuid(), 'bench.counted', 1, ${topic},
    convert_to('key-' || (random() * 100000)::int, 'UTF8'),
    jsonb_build_object('ce_source', 'bench', 'ce_time', '2026-11-20T10:00:00.000Z',
      'content-type', 'application/json'),
    convert_to(rpad('{"text":"', 298, 'x') || '"}', 'UTF8')
  from generate_series(1, ${events}::int)`;

export type Load = Readonly<{
  written(): number;
  stop(): Promise<void>;
}>;

/** Asks every 20 ms how many events to write; `stop` rejects when a write has failed. */
export const startLoad = (
  sql: Sql,
  topic: string,
  due: (written: number, elapsedMs: number) => Promise<number> | number,
): Load => {
  let written = 0;
  let isOver = false;
  const startedMs = performance.now();
  const run = async (): Promise<void> => {
    while (!isOver) {
      const events = await due(written, performance.now() - startedMs);
      if (events > 0) await insertEvents(sql, topic, events);
      written += Math.max(0, events);
      await delay(sliceMs);
    }
  };
  const ended = run();
  // It is awaited at the end; until then a failure must not end the process.
  ended.catch(() => undefined);
  return {
    written: () => written,
    stop: () => {
      isOver = true;
      return ended;
    },
  };
};

/** A steady rate, whatever was missed. */
export const atRate =
  (eventsPerS: number) =>
  (written: number, elapsedMs: number): number =>
    Math.floor((elapsedMs / 1000) * eventsPerS) - written;
