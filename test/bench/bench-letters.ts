/**
 * `bench letters`: how long an operator waits with many dead letters, and how fast a redrive is.
 * Half of the letters hold a key with an event behind it, the others were passed over.
 */

import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { planning } from "@outrider/operations";
import { createRedrive, driveRedrive, exportLetters, groupStretch } from "@outrider/redrive";
import { previewRedrive, readLetter, readRedrive, searchStretch } from "@outrider/redrive";
import type { LetterFilter } from "@outrider/redrive";
import { silentLog } from "../support/silent-log.ts";
import type { BenchContext } from "./sample.ts";
import { spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";

export type LettersBench = Readonly<{
  letters: number;
  looks: readonly Readonly<{ name: string; ms: Spread }>[];
  /** Growth of this process while all letters are read one after the other. */
  exportMiB: number;
  exportMs: number;
  createMs: number;
  rates: readonly Readonly<{ wanted: number; lettersPerS: number }>[];
}>;

const fill = async (sql: Sql, letters: number): Promise<void> => {
  await sql`
    insert into outrider.dead_letters
      (origin, handler, event_id, type, version, sequence, topic, key, partition, "offset", headers,
        payload, code, message, fingerprint, skipped, occurred_at, buried_at)
    select 'handler', 'shop.handler-' || n % 20, gen_random_uuid(), 'order.placed', 1, n,
      'topic-' || n % 10, convert_to('key-' || n, 'UTF8'), n % 12, n,
      '[["ce_type","order.placed"],["ce_source","bench"],["content-type","application/json"]]',
      convert_to('{"orderId":"' || n || '","text":"' || repeat('x', 250) || '"}', 'UTF8'),
      'CODE_' || n % 50, 'no order ' || n, 'fingerprint ' || n % 200, n % 2 = 0,
      now(), now() - (${letters}::int - n) * interval '1 s'
    from generate_series(1, ${letters}::int) n`;
  await sql`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    select handler, event_id, 'dead', topic, partition, "offset" from outrider.dead_letters`;
  await sql`
    insert into outrider.parked_heads (handler, topic, key, due_at)
    select handler, topic, key, 'infinity' from outrider.dead_letters where not skipped`;
  await sql`
    insert into outrider.parked
      (head, handler, event_id, partition, "offset", timestamp_ms, record_key, headers, value,
        state)
    select h.id, l.handler, case when behind = 0 then l.event_id else gen_random_uuid() end,
      l.partition, l."offset" + behind * 1000000, 0, l.key, l.headers, l.payload,
      case when behind = 0 then 'dead' else 'due' end
    from outrider.dead_letters l
    join outrider.parked_heads h
      on h.handler = l.handler and h.topic = l.topic and sha256(h.key) = sha256(l.key)
    cross join generate_series(0, 1) behind
    where not l.skipped`;
  await sql`
    insert into outrider.dead_letter_history (letter, action, message)
    select id, 'buried', message from outrider.dead_letters`;
  for (const table of ["dead_letters", "inbox", "parked_heads", "parked", "dead_letter_history"]) {
    await sql.unsafe(`vacuum analyze outrider.${table}`);
  }
};

const looksOf = (sql: Sql, letters: number): Readonly<Record<string, () => Promise<unknown>>> => {
  const page = { limit: 50 };
  const list = (filter: LetterFilter, before?: number) => () =>
    searchStretch(sql, filter, { ...page, before });
  const open = { state: "open" } as const;
  const middle = new Date(Date.now() - (letters / 2) * 1000);
  return {
    "open, first page": list(open),
    "open, in the middle": list(open, Math.floor(letters / 2)),
    "all states": list({}),
    "of a handler": list({ ...open, handler: "shop.handler-7" }),
    "of a handler that has none": list({ ...open, handler: "shop.none" }),
    "of a topic": list({ ...open, topic: "topic-3" }),
    "of a code": list({ ...open, code: "CODE_17" }),
    "of a code that is none": list({ ...open, code: "CODE_X" }),
    "of a group": list({ ...open, fingerprint: "fingerprint 111" }),
    "of a key": list({ ...open, key: `key-${Math.floor(letters / 3)}` }),
    "of an event that is none": list({ eventId: "00000000-0000-4000-8000-000000000000" }),
    "of a time": list({ ...open, until: middle }),
    "with a text": list({ ...open, text: `no order ${Math.floor(letters / 3)}` }),
    "with a text that is nowhere": list({ ...open, text: "nowhere" }),
    groups: () => groupStretch(sql, open, 20),
    "groups of a handler": () => groupStretch(sql, { ...open, handler: "shop.handler-7" }, 20),
    "one letter": () => readLetter(sql, Math.floor(letters / 3)),
    "preview of a handler": () =>
      previewRedrive(sql, { handler: "shop.handler-7" }, () => undefined),
  };
};

const timed = async (act: () => Promise<unknown>): Promise<number> => {
  const startedMs = performance.now();
  await act();
  return performance.now() - startedMs;
};

const looksPerRound = 5;

export const benchLetters = async (
  context: BenchContext,
  { letters, seconds }: Readonly<{ letters: number; seconds: number }>,
): Promise<LettersBench> => {
  const url = context.url;
  const sql = connect({ url, name: "bench-letters", poolMax: 4 });
  // As the operations API asks.
  const asking = connect({ url, name: "bench-letters", poolMax: 4, parameters: planning });
  context.say(`writing ${letters} letters`);
  await fill(sql, letters);
  const looks: { name: string; ms: Spread }[] = [];
  for (const [name, look] of Object.entries(looksOf(asking, letters))) {
    const times: number[] = [];
    // The first one prepares the statement, and fills caches.
    await look();
    for (let n = 0; n < looksPerRound * context.rounds; n += 1) times.push(await timed(look));
    looks.push({ name, ms: spreadOf(times) });
    context.say(`${name}: ${spreadOf(times).median.toFixed(1)} ms`);
  }
  const beforeBytes = process.memoryUsage.rss();
  let mostBytes = beforeBytes;
  const exportMs = await timed(async () => {
    for await (const _ of exportLetters(sql, {})) {
      mostBytes = Math.max(mostBytes, process.memoryUsage.rss());
    }
  });
  let id = 0;
  const rates: { wanted: number; lettersPerS: number }[] = [];
  const createMs = await timed(async () => {
    id = await sql.begin((tx) =>
      createRedrive(tx, {}, { by: "bench", reason: "bench", ratePerS: 100, canary: 0 }),
    );
  });
  for (const wanted of [100, 500, 100_000]) {
    await sql`update outrider.redrives set rate_per_s = ${wanted} where id = ${id}`;
    const before = await readRedrive(sql, id);
    const ms = await timed(() =>
      driveRedrive(sql, id, {
        ...{ log: silentLog, random: Math.random },
        signal: AbortSignal.timeout(seconds * 1000),
      }),
    );
    const done = (await readRedrive(sql, id)).redriven - before.redriven;
    rates.push({ wanted, lettersPerS: Math.round((done / ms) * 1000) });
    context.say(`at most ${wanted} a second: ${rates.at(-1)?.lettersPerS}`);
  }
  looks.push({ name: "one redrive", ms: spreadOf([await timed(() => readRedrive(sql, id))]) });
  await Promise.all([sql.end(), asking.end()]);
  const exportMiB = Math.round((mostBytes - beforeBytes) / 2 ** 20);
  return { letters, looks, exportMiB, exportMs, createMs, rates };
};
