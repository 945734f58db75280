/** A record's time is when it is published: what events say of theirs costs no record its life. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { readTopic } from "@outrider/broker";
import { headerTexts } from "@outrider/event";
import { createOpenPublisher } from "@outrider/kafka";
import { testKafka } from "../support/environment.ts";
import { createRelayScene } from "../support/relay-scene.ts";
import type { RelayScene } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { changeTopic, createTopicWith } from "../support/topic-settings.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";

const kafka = testKafka();
const openPublisher = createOpenPublisher(kafka, silentLog, { clientId: "record-time-test" });
const hourMs = 3_600_000;

let scene: RelayScene;

before(async () => {
  scene = await createRelayScene(openPublisher);
});
after(() => scene.end());
afterEach(() => scene.reset());

/** As a writer in any language can, also a row that has waited since `createdAt`. */
const write = async (
  topic: string,
  key: string,
  { ceTime, createdAt = new Date().toISOString() }: { ceTime?: string; createdAt?: string } = {},
): Promise<void> => {
  await scene.sql`
    insert into outrider.outbox
      (event_id, type, version, topic, key, headers, payload, created_at)
    values (gen_random_uuid(), 'test.counted', 1, ${topic}, ${Buffer.from(key)},
      ${JSON.stringify({ ce_source: "test", ...(ceTime && { ce_time: ceTime }) })}::text::jsonb,
      '{}', ${createdAt}::text::timestamptz)`;
};

const fromNow = (hours: number): string => new Date(Date.now() + hours * hourMs).toISOString();

const readTimes = async (topic: string): Promise<Map<string, [number, string | undefined]>> =>
  new Map(
    (await readTopic(kafka, topic)).map((one) => [
      String(one.key && Buffer.from(one.key)),
      [one.timestampMs, headerTexts(one.headers).ce_time],
    ]),
  );

describe("a record's time is when it is published", () => {
  // A topic of ours, and one that takes its producers' times and would refuse or forget others.
  const topics = {
    "of ours": () => createTopic(1),
    "that takes its producers' times": () => createTopicWith(1, { "retention.ms": "60000" }),
  };
  for (const [name, create] of Object.entries(topics)) {
    test(`in a topic ${name}, however old or far ahead its event is`, async () => {
      const topic = await create();
      const times = { old: fromNow(-240), ahead: fromNow(2), ancient: "0001-01-01T00:00:00.000Z" };
      for (const [key, ceTime] of Object.entries(times)) await write(topic, key, { ceTime });
      await write(topic, "none");
      await write(topic, "waited", { createdAt: fromNow(-8 * 24) });
      const beganMs = Date.now();
      scene.start();
      await scene.emptied("outbox");
      const found = await readTimes(topic);
      assert.deepEqual(
        [...found.keys()].toSorted(),
        [...Object.keys(times), "none", "waited"].sort(),
      );
      for (const [key, [timestampMs, ceTime]] of found) {
        assert.ok(timestampMs >= beganMs && timestampMs <= Date.now(), `${key}: ${timestampMs}`);
        assert.equal(ceTime, times[key as keyof typeof times]);
      }
      assert.equal(await scene.countOf("dead_letters"), 0);
    });
  }
});

test("a topic that refuses a host's clock gets its events later, and none is buried", async () => {
  const [other, topic] = [await createTopic(1), await createTopicWith(1)];
  await changeTopic(topic, { "message.timestamp.before.max.ms": "0" });
  for (const key of ["a", "b", "c"]) await write(topic, key);
  // In the same shard.
  for (const key of ["a", "b", "c"]) await write(other, key);
  const relay = scene.start({}, { topicRetry: { baseMs: 50, capMs: 200 } });
  const refused = await until(() => relay.state().refused[0], { what: "a refused topic" });
  assert.equal(refused.topic, topic);
  assert.match(String(refused.error), /INVALID_TIMESTAMP.*the clock of this host/);
  // A refusal ends the batch for all its topics, so some may be there twice.
  await until(async () => (await readTimes(other)).size === 3, { what: "the other topic" });
  // Of the refused topic one may have been taken within its very millisecond.
  const waitsFor = async () =>
    (await scene.sql`select from outrider.outbox where topic = ${other}`).length;
  await until(async () => (await waitsFor()) === 0, { what: "its settled rows" });
  assert.equal(await scene.countOf("dead_letters"), 0);
  await changeTopic(topic, { "message.timestamp.before.max.ms": String(hourMs) });
  await scene.emptied("outbox");
  assert.deepEqual([...(await readTimes(topic)).keys()].toSorted(), ["a", "b", "c"]);
  assert.equal(await scene.countOf("dead_letters"), 0);
  await until(() => relay.state().refused.length === 0, { what: "a relay that is ready again" });
});

test("a letter has its event's time, and no time that is none stops its shard", async () => {
  const topic = await createTopicWith(1, { "max.message.bytes": "2000" });
  const createdAt = "2026-01-02T03:04:05.678Z";
  const times: Record<string, readonly [ceTime: string, letter: string]> = {
    old: ["1969-07-20T20:17:40.000Z", "1969-07-20T20:17:40.000Z"],
    last: ["9999-12-31T00:00:00.000Z", "9999-12-31T00:00:00.000Z"],
    // Date.parse takes it, Postgres does not.
    huge: ["+275760-09-13T00:00:00.000Z", createdAt],
    before: ["-271821-04-20T00:00:00.000Z", createdAt],
    roman: ["0044-03-15T00:00:00.000Z", createdAt],
    none: ["yesterday", createdAt],
  };
  for (const [key, [ceTime]] of Object.entries(times)) {
    await write(topic, key, { ceTime, createdAt });
  }
  for (const [key, at] of [
    ["infinite", "infinity"],
    ["bc", "4000-01-01 00:00:00 BC"],
    ["far", "200000-01-01 00:00:00"],
  ] as const) {
    await write(topic, key, { createdAt: at });
  }
  await scene.sql`update outrider.outbox set payload = ${randomBytes(5000)}`;
  scene.start();
  await scene.emptied("outbox");
  const letters = await scene.sql<{ key: string; at: Date }[]>`
    select convert_from(key, 'UTF8') as key, occurred_at as at from outrider.dead_letters`;
  const found = new Map(letters.map(({ key, at }) => [key, at.toISOString()]));
  assert.equal(found.size, 9);
  for (const [key, [, letter]] of Object.entries(times)) assert.equal(found.get(key), letter);
  assert.equal(found.get("far"), "9999-12-31T00:00:00.000Z");
  assert.equal(found.get("bc"), "0100-01-01T00:00:00.000Z");
});
