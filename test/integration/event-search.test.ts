/** An event that no table knows is looked for in Kafka: for how long, and what is said then. */

import { afterAll, beforeAll, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import type { SearchLimits, TopicReader, WantedRecord } from "@outrider/broker";
import { fault } from "@outrider/event";
import { createTestDatabase } from "../support/database.ts";
import type { TestDatabase } from "../support/database.ts";
import { fillOperations } from "../support/fill-operations.ts";
import { createTestOperations } from "../support/operations.ts";
import type { TestOperations } from "../support/operations.ts";

let database: TestDatabase;
let api: TestOperations;
type Search = (wanted: WantedRecord, limits: SearchLimits) => ReturnType<TopicReader["findRecord"]>;
/** The record that is at any place. */
let recordAt: TopicReader["readRecord"] = async () => undefined;
/** What it does for each topic, and which ones it was asked for. */
let search: Search = async () => ({ examined: 0, isWhole: true });
const asked: string[] = [];

const kafka: TopicReader = {
  readEnds: async () => [],
  readOffsets: async () => [],
  readRecord: (place) => recordAt(place),
  findRecord: (wanted, limits) => {
    asked.push(wanted.topic);
    return search(wanted, limits);
  },
  close: async () => {},
};

beforeAll(async () => {
  database = await createTestDatabase();
  api = await createTestOperations(database.url, { kafka });
  await fillOperations(api.sql, { parked: 0, letters: 0, inbox: 0 });
});

afterAll(async () => {
  await api?.close();
  await database?.drop();
});

const v7 = "01890a5d-ac96-774b-bcce-b302099a8057";
const v4 = "5f3c1d0a-1111-4222-8333-444455556666";

const detailOf = async (path: string): Promise<string> => {
  asked.length = 0;
  const response = await api.get(path);
  expect(response.status).toBe(404);
  return ((await response.json()) as { detail: string }).detail;
};

test("all topics of handlers are looked at, one that is gone included", async () => {
  search = async ({ topic }) => {
    if (topic === "topic-3") throw fault("topic_unknown", "There is no topic-3");
    return { examined: 5, isWhole: true };
  };
  const detail = await detailOf(`/v1/events/${v7}`);
  // A second before the time in the id: what was published before has not been looked at.
  const from = "from 2023-06-30T03:34:17.518Z on";
  expect(detail).toEndWith(`; nor is it in the topics that handlers read ${from}`);
  expect(asked.length).toBe(10);
});

test("what was not looked at is said, and nobody waits for each topic anew", async () => {
  search = async (_, { deadlineMs }) => {
    await delay(Math.min(deadlineMs, 1600));
    return { examined: 20_000, isWhole: false };
  };
  const startedMs = performance.now();
  const detail = await detailOf(`/v1/events/${v7}`);
  expect(detail).toContain("; nor is it in the topics that handlers read from 2023-06-30T");
  expect(detail).toEndWith(" on, of which a part was looked at");
  expect(performance.now() - startedMs).toBeLessThan(6000);
  expect(asked.length).toBeLessThan(10);
  // Of an id without a time nobody knows where to begin.
  expect(await detailOf(`/v1/events/${v4}`)).toContain("of which a part was looked at");
  expect(asked).toEqual([]);
}, 30_000);

test("what is at the place of an event is told only if it is the event", async () => {
  const [topic, partition, offset] = ["topic-1", 3, 77];
  await api.sql`
    insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
    values ('shop.handler-1', ${v7}, 'handled', ${topic}, ${partition}, ${offset})`;
  const recordOf = (id: string) => ({
    ...{ topic, partition, offset },
    ...{
      timestampMs: 0,
      key: null,
      value: Buffer.from("{}"),
      headers: [{ ce_id: Buffer.from(id) }],
    },
  });
  const tell = async (): Promise<unknown> => {
    const life = (await (await api.get(`/v1/events/${v7}`)).json()) as Record<string, unknown>;
    return [life.recordState, (life.record as { offset: number } | null)?.offset];
  };
  recordAt = async () => recordOf(v7);
  expect(await tell()).toEqual(["found", 77]);
  // The topic was made anew, and its places are those of other events.
  recordAt = async () => recordOf(v4);
  expect(await tell()).toEqual(["removed", undefined]);
});
