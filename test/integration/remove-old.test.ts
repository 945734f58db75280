/** Which inbox rows may go. On real Postgres. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { removeOldInbox } from "@outrider/inbox";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "test-remove-old", poolMax: 4 });
});

afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

const dayMs = 86_400_000;
const handlers = [{ name: "a", group: "g" }];

test("old rows below the watermark go, and no others", async () => {
  await sql`
    insert into outrider.watermarks ("group", topic, partition, next_offset)
    values ('g', 't', 0, 10), ('other', 't', 1, 100)`;
  const rows: [string, string, number, number, number][] = [
    ["a", "handled", 0, 9, 3],
    // Its record comes again when the worker starts again.
    ["a", "handled", 0, 10, 3],
    ["a", "handled", 0, 8, 1],
    ["a", "dead", 0, 7, 3],
    // Its letter is gone.
    ["a", "dead", 0, 3, 3],
    ["a", "parked", 0, 6, 3],
    // Of a partition whose watermark nobody knows, and of another app's handler.
    ["a", "handled", 1, 5, 3],
    ["b", "handled", 0, 4, 3],
  ];
  for (const [handler, state, partition, offset, days] of rows) {
    await sql`
      insert into outrider.inbox (handler, event_id, state, topic, partition, "offset", recorded_at)
      values (${handler}, gen_random_uuid(), ${state}, 't', ${partition}, ${offset},
        now() - ${days} * interval '1 day')`;
  }
  await sql`
    insert into outrider.dead_letters
      (origin, handler, event_id, topic, key, headers, code, message, fingerprint, occurred_at)
    select 'handler', handler, event_id, topic, 'k', '[]', 'C', 'm', 'f', now()
    from outrider.inbox where state = 'dead' and "offset" = 7`;
  expect(await removeOldInbox(sql, { handlers, keepMs: 2 * dayMs })).toBe(2);
  const left = await sql`select "offset"::int as n from outrider.inbox order by 1 desc`;
  expect(left.map((row) => row.n)).toEqual([10, 8, 7, 6, 5, 4]);
  expect(await removeOldInbox(sql, { handlers, keepMs: 2 * dayMs })).toBe(0);
});

test("goes in batches, by one worker at a time", async () => {
  await sql`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset", recorded_at)
    select 'a', gen_random_uuid(), 'handled', 't', 0, 0, now() - interval '9 days'
    from generate_series(1, 2500)`;
  const remove = () => removeOldInbox(sql, { handlers, keepMs: 2 * dayMs, rowsMax: 1000 });
  const both = await Promise.all([remove(), remove()]);
  expect(both.reduce((sum, one) => sum + one, 0)).toBeOneOf([1000, 2000]);
  let rest = 0;
  for (let removed = await remove(); removed > 0; removed = await remove()) rest += removed;
  expect(both.reduce((sum, one) => sum + one, rest)).toBe(2500);
});

test("old attempts go with them, also of replays; nothing of another app's handlers", async () => {
  const rows: [string, number][] = [
    ["a", 3],
    ["a#7", 3],
    ["a", 1],
    ["b", 3],
    ["b#7", 3],
  ];
  for (const [handler, days] of rows) {
    await sql`
      insert into outrider.failed_attempts (handler, event_id, at, kind, code, message)
      values (${handler}, gen_random_uuid(), now() - ${days} * interval '1 day', 'fatal', 'C',
        'm')`;
    await sql`
      insert into outrider.external_attempts (handler, event_id, attempt, started_at)
      values (${handler}, gen_random_uuid(), 1, now() - ${days} * interval '1 day')`;
  }
  const remove = () => removeOldInbox(sql, { handlers, keepMs: 2 * dayMs, rowsMax: 1 });
  // One of each kind at a time.
  expect([await remove(), await remove(), await remove()]).toEqual([2, 2, 0]);
  for (const table of ["failed_attempts", "external_attempts"]) {
    const left = await sql`select handler from outrider.${sql(table)} order by 1`;
    expect(left.map((row) => row.handler)).toEqual(["a", "b", "b#7"]);
  }
});
