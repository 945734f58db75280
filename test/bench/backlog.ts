/** A backlog to drain: events of 300 bytes that become records with 8 headers. */

import type { Sql } from "@outrider/postgres";

export type BacklogSpec = Readonly<{ topic: string; events: number; keys: number }>;

export const payloadBytes = 300;

/** The n-th event of the backlog is the k-th of its key, which its payload says. */
export const fillOutbox = async (sql: Sql, { topic, events, keys }: BacklogSpec): Promise<void> => {
  await sql`truncate outrider.outbox`;
  await sql`
    insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
    select gen_random_uuid(), 'bench.counted', 1, ${topic},
      convert_to('key-' || n % ${keys}::int, 'UTF8'),
      jsonb_build_object('ce_source', 'bench', 'ce_time', '2026-11-20T10:00:00.000Z',
        'content-type', 'application/json'),
      convert_to(rpad('{"n":' || n / ${keys}::int + 1 || ',"text":"', ${payloadBytes - 2}, 'x')
        || '"}', 'UTF8')
    from generate_series(0, ${events}::int - 1) as n`;
  await sql`vacuum analyze outrider.outbox`;
  await sql`checkpoint`;
};
