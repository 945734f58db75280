/** Parked keys, dead letters and inbox rows in numbers, for looking at them. */

import type { Sql } from "@outrider/postgres";

export type FillSizes = Readonly<{
  parked: number;
  letters: number;
  inbox: number;
  /** Events that wait to be published. */
  outbox?: number;
  /** Lines of the audit, and a hundredth of it of redrives, replays, operations and keys each. */
  audit?: number;
}>;

/** Rows of the inbox of one statement. */
const chunkRows = 500_000;

/** Every tenth parked key is held by a letter; every fifth has three events behind its first. */
export const fillOperations = async (
  sql: Sql,
  { parked, letters, inbox, outbox = 0, audit = 0 }: FillSizes,
  say: (line: string) => void = () => {},
): Promise<void> => {
  await sql`
    insert into outrider.handlers
      (name, "group", queue, topics, ordering, effects, on_bury, attempts_max)
    select 'shop.handler-' || n, 'shop', 'shop', array['topic-' || n % 10], 'key',
      'transactional', 'hold', 16
    from generate_series(0, 19) n`;
  await fillLetters(sql, letters);
  await sql`
    insert into outrider.parked_heads (handler, topic, key, due_at, timer_at, created_at)
    select 'shop.handler-' || n % 20, 'topic-' || n % 10, convert_to('parked-' || n, 'UTF8'),
      case when n % 10 = 0 then 'infinity'::timestamptz else later.at end, later.at,
      now() - (${parked}::int - n) * interval '1 s'
    from generate_series(1, ${parked}::int) n
    -- none comes due while somebody looks
    cross join lateral (select now() + interval '2 h' + n % 600 * interval '1 s') as later (at)`;
  await sql`
    insert into outrider.parked
      (head, handler, event_id, partition, "offset", timestamp_ms, record_key, headers, value,
        state, attempt, code, message)
    select h.id, h.handler, gen_random_uuid(), h.id % 12, h.id * 10 + behind, 0, h.key,
      '[["ce_type","order.placed"],["ce_source","bench"]]', convert_to('{}', 'UTF8'),
      case when h.due_at = 'infinity' and behind = 0 then 'dead' else 'due' end,
      case behind when 0 then 1 else 0 end,
      case behind when 0 then 'CODE_' || h.id % 50 end, case behind when 0 then 'no order' end
    from outrider.parked_heads h
    cross join lateral generate_series(0, case when h.id % 5 = 0 then 3 else 0 end) behind`;
  await sql`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    select handler, event_id, case state when 'dead' then 'dead' else 'parked' end,
      'topic-1', partition, "offset" from outrider.parked`;
  await sql`
    insert into outrider.failed_attempts (handler, event_id, attempt, kind, code, message)
    select handler, event_id, 1, 'retryable', code, message
    from outrider.parked where code is not null`;
  await fillBesides(sql, { outbox, audit });
  for (let before = 0; before < inbox; before += chunkRows) {
    say(`inbox: ${before.toLocaleString("en-US")} of ${inbox.toLocaleString("en-US")} rows`);
    await sql`
      insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
      select 'shop.handler-' || n % 20, gen_random_uuid(), 'handled', 'topic-' || n % 10, n % 12, n
      from generate_series(${before + 1}::int, ${Math.min(before + chunkRows, inbox)}::int) n`;
  }
};

const fillBesides = async (
  sql: Sql,
  { outbox, audit }: Readonly<{ outbox: number; audit: number }>,
): Promise<void> => {
  await sql`
    insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
    select gen_random_uuid(), 'order.placed', 1, 'topic-1', convert_to('key-' || n, 'UTF8'), '{}',
      convert_to(repeat('x', 200), 'UTF8')
    from generate_series(1, ${outbox}::int) n`;
  await sql`
    insert into outrider.audit (actor, api_key, action, target, details, request_id)
    select 'actor-' || n % 40, n % 40 + 1, 'action-' || n % 12, 'dead-letters/' || n % 5000,
      '{"reason":"filled"}', 'request-' || n
    from generate_series(1, ${audit}::int) n`;
  const some = Math.ceil(audit / 100);
  await sql`
    insert into outrider.redrives
      (filter, by, reason, rate_per_s, canary, failures_max, total, state)
    select '{}', 'ann', 'filled', 50, 1, 5, 10, case when n % 9 = 0 then 'cancelled' else 'done' end
    from generate_series(1, ${some}::int) n`;
  await sql`
    insert into outrider.replays (handler, ran_as, topic, by, reason, state)
    select 'shop.handler-' || n % 20, 'shop.handler-' || n % 20, 'topic-1', 'ann', 'filled', 'done'
    from generate_series(1, ${some}::int) n`;
  await sql`
    insert into outrider.operations (action, filter, details, by, reason, id_max, total, state)
    select 'run-parked', '{}', '{}', 'ann', 'filled', 1, 1, 'done'
    from generate_series(1, ${some}::int) n`;
  await sql`
    insert into outrider.api_keys (name, hash, scopes, created_by, revoked_at)
    select 'key-' || n, sha256(convert_to('key-' || n, 'UTF8')), array['events:read'], 'ann', now()
    from generate_series(1, ${some}::int) n`;
};

const fillLetters = async (sql: Sql, letters: number): Promise<void> => {
  await sql`
    insert into outrider.dead_letters
      (origin, handler, event_id, type, version, sequence, topic, key, partition, "offset", headers,
        payload, code, message, fingerprint, skipped, occurred_at, buried_at, state)
    select 'handler', 'shop.handler-' || n % 20, gen_random_uuid(), 'order.placed', 1, n,
      'topic-' || n % 10, convert_to('key-' || n, 'UTF8'), n % 12, n,
      '[["ce_type","order.placed"],["ce_source","bench"],["content-type","application/json"]]',
      convert_to('{"orderId":"' || n || '","text":"' || repeat('x', 250) || '"}', 'UTF8'),
      'CODE_' || n % 50, 'no order ' || n, 'fingerprint ' || n % 200, true,
      now(), now() - (${letters}::int - n) * interval '1 s',
      case when n % 7 = 0 then 'discarded' else 'open' end
    from generate_series(1, ${letters}::int) n`;
  await sql`
    insert into outrider.dead_letter_history (letter, action, message)
    select id, 'buried', message from outrider.dead_letters`;
  await sql`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    select handler, event_id, 'dead', topic, partition, "offset" from outrider.dead_letters`;
};

/** The same, in place of all that was there; keys and the audit stay. */
export const refillOperations = async (sql: Sql, sizes: FillSizes): Promise<void> => {
  await sql`
    truncate outrider.inbox, outrider.parked, outrider.parked_heads, outrider.dead_letters,
      outrider.dead_letter_history, outrider.redrives, outrider.redrive_items, outrider.replays,
      outrider.replay_ranges, outrider.handlers, outrider.workers, outrider.breakers,
      outrider.failed_attempts, outrider.operations`;
  await fillOperations(sql, sizes);
};
