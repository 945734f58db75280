/** Who reads a partition, and who has not given it back. On real Postgres. */

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "@outrider/postgres";
import type { Sql } from "@outrider/postgres";
import { enterReader, removeReaders, seeReaders } from "../../packages/inbox/src/readers.ts";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";

const topic = "counted";

let database: TestDatabase;
let sql: Sql;

beforeAll(async () => {
  database = await createTestDatabase();
  sql = connect({ url: database.url, name: "readers-test", poolMax: 2 });
});

afterAll(async () => {
  await sql?.end({ timeout: 1 });
  await database?.drop();
});

describe("readers", () => {
  const at = (partition: number) => ({ topic, partition });
  const enter = (instance: string, numbers: readonly number[], deadMs = 60_000) =>
    enterReader(sql, { group: "app", instance }, { partitions: numbers.map(at), deadMs });
  const [one, two, three] = [1, 2, 3].map((n) => `00000000-0000-4000-8000-00000000000${n}`) as [
    string,
    string,
    string,
  ];
  afterEach(async () => {
    await sql`truncate outrider.readers`;
  });

  test("see who has not given a partition back, and which of them are dead", async () => {
    expect(await enter(one, [0, 1])).toEqual([]);
    expect(await enter(two, [1, 2])).toEqual([{ ...at(1), instances: [] }]);
    await delay(20);
    await seeReaders(sql, "app", [two]);
    const remains = await enter(three, [1, 2], 15);
    expect(remains.toSorted((a, b) => a.partition - b.partition)).toEqual([
      { ...at(1), instances: [one] },
      { ...at(2), instances: [] },
    ]);
  });

  test("are gone once they are removed, partition by partition", async () => {
    await enter(one, [0, 1]);
    await removeReaders(sql, "app", [{ ...at(0), instances: [one] }]);
    expect(await enter(two, [0, 1])).toEqual([{ ...at(1), instances: [] }]);
  });
});
