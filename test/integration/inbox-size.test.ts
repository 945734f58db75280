/** What is told of the inbox's size, beside what is in it. On real Postgres. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readInboxSize } from "@outrider/inbox";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "test-inbox-size", poolMax: 1 });
});

afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

const insert = (count: number) => sql`
  insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
  select 'a', gen_random_uuid(), 'handled', 't', 0, n from generate_series(1, ${count}) n`;

/** The statistics come a moment after the commit. */
const counted = (rows: number, inserted: number) =>
  until(
    async () => {
      await sql`select pg_stat_force_next_flush()`;
      const size = await readInboxSize(sql);
      return size.rows === rows && size.inserted === inserted && size;
    },
    { what: `${rows} rows of ${inserted}` },
  );

test("follows what is written and removed; what was inserted stays counted", async () => {
  const empty = await counted(0, 0);
  await insert(3000);
  const full = await counted(3000, 3000);
  // 168 bytes a row, its key included.
  expect(full.bytes - empty.bytes).toBeWithin(3000 * 100, 3000 * 400);
  await sql`delete from outrider.inbox where "offset" <= 1000`;
  await counted(2000, 3000);
  await insert(500);
  await counted(2500, 3500);
});

test("is what the last ANALYZE said while there are no statistics", async () => {
  await sql`analyze outrider.inbox`;
  const { rows } = await readInboxSize(sql);
  await sql`select pg_stat_reset_single_table_counters('outrider.inbox'::regclass)`;
  await until(async () => (await readInboxSize(sql)).inserted === 0, { what: "the reset" });
  expect((await readInboxSize(sql)).rows).toBe(rows);
});
