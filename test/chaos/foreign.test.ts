import { afterAll, beforeAll, expect, test } from "bun:test";
import type { KafkaRecord } from "@outrider/event";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { chaosHandlers, chaosTopic } from "../support/chaos-handlers.ts";
import { countedOn, recordAt } from "../support/counted.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { checkForeign, foreignIdsOf, foreignMark } from "./foreign.ts";

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "foreign-test", poolMax: 2 });
});

afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

const { count } = countedOn(chaosTopic);
const own = recordAt(count("a", 1), { topic: chaosTopic, offset: 0 });
const foreignAt = (offset: number, headers = own.headers): KafkaRecord => ({
  ...{ ...own, offset },
  headers: [...headers, { [foreignMark]: Buffer.from("1") }],
});

test("a foreign event without an outcome, or whose outcome never comes, is found", async () => {
  // The last one says nothing of itself: it is wanted by all.
  const log = [own, foreignAt(1, recordAt(count("b", 1), own).headers), foreignAt(2, [])];
  const ids = [...foreignIdsOf(log)];
  expect(ids).toHaveLength(2);
  const set = (state: string) => sql`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    select handler, id, ${state}, ${chaosTopic}, 0, 0
    from unnest(${chaosHandlers.map((one) => one.name)}::text[]) as handler,
      unnest(${ids}::uuid[]) as id
    on conflict (handler, event_id) do update set state = excluded.state`;
  expect(await checkForeign(sql, log)).toHaveLength(2 * chaosHandlers.length);
  await set("parked");
  expect((await checkForeign(sql, log))[0]).toContain("is parked for chaos.ledger");
  for (const state of ["handled", "dead"]) {
    await set(state);
    expect(await checkForeign(sql, log)).toEqual([]);
  }
});
