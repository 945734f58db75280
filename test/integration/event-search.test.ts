/** An event that no table knows is looked for in Kafka: for how long, and what is said then. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import type { SearchLimits, TopicReader, WantedRecord } from "@outrider/broker";
import { fault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import type { EventList } from "@outrider/operations";
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
/** What a search for many finds in any topic. */
let searchMany: TopicReader["findRecords"] = async () => nothing;
const nothing = { records: [], examined: 0, isWhole: true };

const kafka: TopicReader = {
  readEnds: async () => [],
  readOffsets: async () => [],
  readRecord: (place) => recordAt(place),
  findRecord: (wanted, limits) => {
    asked.push(wanted.topic);
    return search(wanted, limits);
  },
  findRecords: (wanted, limits) => searchMany(wanted, limits),
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

describe("a list of events", () => {
  const key = "order-1";
  const recordOf = (id: string, offset: number): KafkaRecord => ({
    ...{ topic: "topic-1", partition: 3, offset, timestampMs: Date.now() - 1000 + offset },
    ...{ key: Buffer.from(key), value: Buffer.from("{}") },
    headers: [{ ce_id: Buffer.from(id), ce_type: Buffer.from("order.placed") }],
  });
  const inTopic1 = (records: readonly KafkaRecord[], isWhole = true): typeof searchMany => {
    return async ({ stretch, isWanted }) =>
      stretch.topic === "topic-1"
        ? { records: records.filter(isWanted), examined: records.length, isWhole }
        : nothing;
  };
  const listOf = (query: string) => api.read<EventList>(`/v1/events?${query}`);
  const written = async (id: string) => {
    await api.sql`
      insert into outrider.outbox (event_id, type, version, topic, key, headers, payload)
      values (${id}, 'order.placed', 1, 'topic-1', ${Buffer.from(key)},
        '{"ce_correlationid": "chain-1"}', '{}')`;
  };

  test("has what waits and what is published, each once, with its outcomes", async () => {
    const waiting = "01890a5d-ac96-774b-bcce-b302099a8001";
    await Promise.all([written(waiting), written(v4)]);
    // Published, and not removed from the outbox yet; and once more after a restart.
    searchMany = inTopic1([recordOf(v7, 1), recordOf(v4, 2), recordOf(v4, 3)]);
    const { items, isWhole } = await listOf(`key=${key}`);
    expect(items.map((one) => [one.id, one.state, one.offset])).toEqual([
      ...[
        [v7, "published", 1],
        [v4, "published", 2],
        [waiting, "pending", null],
      ],
    ]);
    expect(items[0]?.outcomes).toEqual([{ handler: "shop.handler-1", state: "handled" }]);
    expect(isWhole).toBe(true);
    // What is dead stays so in the inbox, and is told as what was decided.
    const decide = async (state: string) => {
      await api.sql`update outrider.dead_letters set state = ${state} where event_id = ${v7}`;
      return (await listOf(`key=${key}`)).items[0]?.outcomes[0]?.state;
    };
    await api.sql`update outrider.inbox set state = 'dead' where event_id = ${v7}`;
    await api.sql`
      insert into outrider.dead_letters
        (origin, handler, event_id, topic, key, headers, code, message, fingerprint, occurred_at)
      values ('handler', 'shop.handler-1', ${v7}, 'topic-1', 'k', '[]', 'C', 'm', 'f', now())`;
    expect([await decide("open"), await decide("discarded")]).toEqual(["dead", "discarded"]);
    expect((await listOf("correlationId=chain-1")).items.map((one) => one.id).toSorted()).toEqual(
      [waiting, v4].toSorted(),
    );
    expect((await listOf("key=other")).items).toEqual([]);
    expect(await listOf(`key=${key}&limit=2`)).toMatchObject({ isWhole: false });
    await api.sql`truncate outrider.outbox`;
  });

  test("says since when, and where it has not looked", async () => {
    searchMany = inTopic1([], false);
    // A second before the key was made, as a UUID v7 says.
    expect(await listOf(`key=${v7}`)).toMatchObject({
      ...{ items: [], isWhole: false, isKafkaAway: false, since: "2023-06-30T03:34:17.518Z" },
    });
    searchMany = async () => {
      throw fault("unavailable", "Kafka does not answer");
    };
    const away = await listOf("type=order.placed");
    expect(away).toMatchObject({ items: [], isWhole: false, isKafkaAway: true });
    expect(Date.now() - Date.parse(String(away.since))).toBeWithin(86_399_000, 86_500_000);
  });
});
