/** Watermarks and the log that each counts in, where readers and operators write them at once. */

import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { readMarks, settleMarks, writeWatermarks } from "../../packages/inbox/src/watermarks.ts";
import type { MarkAt } from "../../packages/inbox/src/watermarks.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "watermarks-test", poolMax: 2 });
});

afterAll(async () => {
  await sql.end();
  await database.drop();
});

beforeEach(async () => {
  await sql`truncate outrider.watermarks`;
});

const topic = "orders";
const old = { clusterId: "cluster-1", topicId: "topic-1" };
const anew = { clusterId: "cluster-1", topicId: "topic-2" };

const reached = (offset: number, log = old, leaderEpoch: number | null = 0, partition = 0) => ({
  ...{ topic, partition, offset, leaderEpoch, ...log },
});

const markOf = async (partition = 0): Promise<MarkAt> => {
  const [mark] = await readMarks(sql, "g", [{ topic, partition }]);
  if (!mark) throw new Error("no watermark");
  return mark;
};

test("a watermark is kept with its log, and with the epoch of the record below it", async () => {
  await writeWatermarks(sql, "g", [reached(7, old, 3)]);
  const mark = { topic, partition: 0, next: 7, log: old, leaderEpoch: 3, haltReason: null };
  expect(await markOf()).toEqual(mark);
  // A late writer knows neither a later offset nor a later epoch.
  expect(await writeWatermarks(sql, "g", [reached(6, old, 2)])).toEqual([]);
  expect(await markOf()).toEqual(mark);
});

test("a reader of another log writes no number over a watermark, and is told so", async () => {
  await writeWatermarks(sql, "g", [reached(7, anew), reached(3, anew, 0, 1)]);
  const late = reached(900);
  const other = { ...reached(900, anew), clusterId: "cluster-2" };
  expect(await writeWatermarks(sql, "g", [late, reached(4, anew, 0, 1)])).toEqual([late]);
  expect(await writeWatermarks(sql, "g", [other])).toEqual([other]);
  expect([(await markOf()).next, (await markOf(1)).next]).toEqual([7, 4]);
});

test("a halt is stored with its reason and stays, and no late watermark moves it", async () => {
  await writeWatermarks(sql, "g", [reached(7)]);
  const mark = await markOf();
  expect(await settleMarks(sql, "g", [{ mark, log: anew, halt: "made anew" }])).toBe(true);
  expect(await markOf()).toEqual({ ...mark, haltReason: "made anew" });
  for (const late of [reached(900), reached(900, anew)]) {
    expect(await writeWatermarks(sql, "g", [late])).toEqual([late]);
  }
  expect(await settleMarks(sql, "g", [{ mark, log: anew, halt: "again" }])).toBe(false);
  expect(await markOf()).toEqual({ ...mark, haltReason: "made anew" });
});

test("a reader that was away stores no halt over what an operator has decided since", async () => {
  await writeWatermarks(sql, "g", [reached(7), reached(5, old, 0, 1)]);
  const [mark, beside] = [await markOf(), await markOf(1)];
  await sql`update outrider.watermarks set next_offset = 0 where partition = 0`;
  const findings = [mark, beside].map((one) => ({ mark: one, log: anew, halt: "late" }));
  expect(await settleMarks(sql, "g", findings)).toBe(false);
  // All or nothing: the reader looks again.
  expect([(await markOf()).haltReason, (await markOf(1)).haltReason]).toEqual([null, null]);
});

test("a watermark of a version that knew no log takes on the one that is there", async () => {
  await sql`
    insert into outrider.watermarks ("group", topic, partition, next_offset)
    values ('g', ${topic}, 0, 7)`;
  const mark = await markOf();
  expect(mark.log).toBeNull();
  // Until it has one, nobody knows what its number counts in.
  expect(await writeWatermarks(sql, "g", [reached(8)])).toEqual([reached(8)]);
  expect(await settleMarks(sql, "g", [{ mark, log: old }])).toBe(true);
  expect(await markOf()).toEqual({ ...mark, log: old });
  expect(await writeWatermarks(sql, "g", [reached(8)])).toEqual([]);
});
