/**
 * The relay on a database whose settings are all other than the driver expects: what is blocked,
 * held, released and published is the same as anywhere. On real Kafka.
 */

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { readTopic } from "@outrider/broker";
import { createOpenPublisher } from "@outrider/kafka";
import { writeRecord } from "@outrider/outbox";
import { testKafka } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import { makeHostile } from "../support/hostile-settings.ts";
import { createRelayScene, firstsOf, range } from "../support/relay-scene.ts";
import type { RelayScene } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";

const kafka = testKafka();
const openPublisher = createOpenPublisher(kafka, silentLog, { clientId: "hostile-test" });
/** More than the topic takes, and incompressible. */
const tooLarge = () => randomBytes(20_000).toString("base64");

let scene: RelayScene;
before(async () => {
  scene = await createRelayScene(openPublisher, silentLog, makeHostile);
});
after(() => scene.end());

test("no event overtakes its blocked key, whatever the database's settings", async () => {
  const { sql } = scene;
  const counting = countingOn(await createTopic(3, 10_000));
  // A backslash, a quote and letters beyond ASCII.
  const key = "bad\\'é🚲";
  const beganMs = Date.now();
  await scene.write(counting, key, 1, tooLarge());
  await scene.write(counting, key, 2);
  await scene.write(counting, key, 3);
  await scene.write(counting, "other", 1);
  const first = scene.start();
  await until(async () => (await scene.countOf("outbox_held")) === 3, { what: "the held rows" });
  await first.stop();
  // Another relay knows the block from its table only.
  scene.start();
  await scene.write(counting, key, 4);
  await scene.write(counting, "other", 2);
  await scene.emptied("outbox");
  assert.deepEqual(await firstsOf(counting.topic, key), []);
  assert.deepEqual(await firstsOf(counting.topic, "other"), [1, 2]);
  const [letter] = await sql`select key, occurred_at as at from outrider.dead_letters`;
  assert.equal(String(letter?.key), key);
  assert.ok(Math.abs(letter?.at.getTime() - beganMs) < 60_000, String(letter?.at));
  const payload = Buffer.from(JSON.stringify({ key, n: 1, text: "mended" }));
  await sql`
    update outrider.blocked set state = 'release', verdict = 'edit',
      replacement_id = ${randomUUID()}, replacement_payload = ${payload}`;
  await sql`notify outrider_shards`;
  await scene.emptied("blocked");
  assert.deepEqual(await firstsOf(counting.topic, key), range(1, 4));
});

test("keys, headers and values come into Kafka to the byte, whatever the settings", async () => {
  const topic = await createTopic(1);
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const headers = [
    ["x-bytes", bytes],
    ["x-text", "\\x00 ' é\\"],
  ] as const;
  const record = { topic, key: bytes, value: bytes, headers };
  await scene.sql.begin((tx) => writeRecord(tx, record));
  scene.start();
  await scene.emptied("outbox");
  const [found] = await readTopic(kafka, topic);
  assert.deepEqual([found?.key, found?.value], [bytes, bytes]);
  assert.deepEqual(
    found?.headers.map((header) => Object.entries(header)[0]),
    headers.map(([name, value]) => [name, Buffer.from(value)]),
  );
});
