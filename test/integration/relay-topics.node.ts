/** Topics that Kafka does not take, for a while or at all: the others of a shard go on. */

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { judgeOutbox, thresholds } from "@outrider/health";
import { createOpenPublisher } from "@outrider/kafka";
import { readOutboxStatus } from "@outrider/outbox";
import { testKafka } from "../support/environment.ts";
import { countingOn } from "../support/events.ts";
import type { Counting } from "../support/relay-scene.ts";
import type { OpenPublisher, PublishRecord } from "@outrider/event";
import { allowWrites, denyWrites } from "../support/kafka-rights.ts";
import { createRelayScene, firstsOf, range, sequencesOf } from "../support/relay-scene.ts";
import type { RelayScene } from "../support/relay-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";

const openPublisher = createOpenPublisher(testKafka(), silentLog, { clientId: "topics-test" });
let scene: RelayScene;

before(async () => {
  scene = await createRelayScene(openPublisher);
});
after(() => scene.end());
afterEach(() => scene.reset());

/** Two topics; what is written alternates between them, in one shard. */
const createPair = async (): Promise<readonly [bad: Counting, good: Counting]> => [
  countingOn(await createTopic(2)),
  countingOn(await createTopic(2)),
];

const writeBoth = async (pair: readonly Counting[], from: number, to: number): Promise<void> => {
  for (const n of range(from, to)) for (const one of pair) await scene.write(one, "key", n);
};

const arrived = (topic: string, count: number) =>
  until(async () => (await firstsOf(topic, "key")).length === count, {
    what: `${count} events`,
    timeoutMs: 20_000,
  });

/** What only the relay's process knows is in the database for whoever asks how it does. */
const toldAs = (rule: string, topic: string) =>
  until(
    async () => {
      const status = await readOutboxStatus(scene.sql);
      const found = judgeOutbox({ ...status, rates: null, limits: thresholds });
      return found.some((one) => one.rule === rule && one.name === topic);
    },
    { what: rule },
  );

/** Producers whose records of these topics wait, as those of a partition without a leader do. */
const createWaiting = (...topics: readonly string[]) => {
  const gate = Promise.withResolvers<void>();
  const open: OpenPublisher = async (shard) => {
    const publisher = await openPublisher(shard);
    const publish = (batch: readonly PublishRecord[]) => {
      if (!topics.includes(batch[0]?.topic ?? "")) return publisher.publish(batch);
      const done = gate.promise.then(() => publisher.publish(batch).done);
      return { done, isRefused: () => false };
    };
    return { ...publisher, publish };
  };
  return { open, lift: () => gate.resolve() };
};

describe("a topic that is not acknowledged", () => {
  test("is set aside in memory, others go on, and it follows in order", async () => {
    const [bad, good] = await createPair();
    const waiting = createWaiting(bad.topic);
    const relay = scene.start({ openPublisher: waiting.open }, { stuckMs: 300, batchMax: 6 });
    await writeBoth([bad, good], 1, 20);
    await arrived(good.topic, 20);
    assert.deepEqual(await sequencesOf(bad.topic, "key"), []);
    assert.deepEqual(
      relay.state().aside.flatMap((one) => one.topics),
      [bad.topic],
    );
    assert.equal(await scene.countOf("outbox"), 20);
    assert.equal(await scene.countOf("dead_letters"), 0);
    await toldAs("topic_stuck", bad.topic);
    waiting.lift();
    await scene.emptied("outbox");
    assert.deepEqual(await sequencesOf(bad.topic, "key"), range(1, 20));
    assert.deepEqual(await sequencesOf(good.topic, "key"), range(1, 20));
    assert.deepEqual(relay.state().aside, []);
  });

  test("is still in order when its relay is replaced meanwhile", async () => {
    const [bad, good] = await createPair();
    const limits = { stuckMs: 200, batchMax: 4 };
    const first = scene.start({ openPublisher: createWaiting(bad.topic).open }, limits);
    await writeBoth([bad, good], 1, 10);
    await arrived(good.topic, 10);
    const stopping = first.stop();
    const waiting = createWaiting(bad.topic);
    scene.start({ openPublisher: waiting.open }, limits);
    await stopping;
    await writeBoth([bad, good], 11, 15);
    await arrived(good.topic, 15);
    waiting.lift();
    await writeBoth([bad, good], 16, 20);
    await scene.emptied("outbox");
    assert.deepEqual(await firstsOf(bad.topic, "key"), range(1, 20));
    assert.deepEqual(await firstsOf(good.topic, "key"), range(1, 20));
  });

  test("keeps no more in memory than a batch: a second one is waited for", async () => {
    const [bad, worse] = await createPair();
    const good = countingOn(await createTopic(1));
    const waiting = createWaiting(bad.topic, worse.topic);
    scene.start({ openPublisher: waiting.open }, { stuckMs: 100, batchBytesMax: 100 });
    for (const one of [bad, worse, good]) await scene.write(one, "key", 1, "x".repeat(200));
    await delay(1000);
    assert.deepEqual(await sequencesOf(good.topic, "key"), []);
    waiting.lift();
    await scene.emptied("outbox");
    assert.deepEqual(await sequencesOf(good.topic, "key"), [1]);
  });
});

describe("a topic that is refused as a whole", () => {
  test("TOPIC_AUTHORIZATION_FAILED: others go on, nothing is buried, and it follows", async () => {
    const [bad, good] = await createPair();
    await denyWrites(bad.topic);
    const relay = scene.start({}, { topicRetry: { baseMs: 200, capMs: 400 } });
    await writeBoth([bad, good], 1, 20);
    await arrived(good.topic, 20);
    const refused = await until(() => relay.state().refused[0], { what: "the refusal" });
    assert.match(String(refused.error), /TOPIC_AUTHORIZATION_FAILED/);
    await toldAs("topic_refused", refused.topic);
    await writeBoth([good], 21, 30);
    await arrived(good.topic, 30);
    // In Kafka, and removed a moment later.
    const isRemoved = async () => (await scene.countOf("outbox")) === 20;
    await until(isRemoved, { what: "the removal of the others" });
    await allowWrites(bad.topic);
    await scene.emptied("outbox");
    assert.deepEqual(await firstsOf(bad.topic, "key"), range(1, 20));
    assert.equal(await scene.countOf("dead_letters"), 0);
    assert.deepEqual(relay.state().refused, []);
  });
});
