/** A reader of topics that stays open: ends, single records, a search. On real Kafka. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomUUID } from "node:crypto";
import { applyTopics, createTopicReader } from "@outrider/broker";
import type { TopicReader } from "@outrider/broker";
import { defineTopic, isFault, partitionOf } from "@outrider/event";
import { Admin } from "@platformatic/kafka";
import { failureOf } from "../support/counted.ts";
import { testKafka } from "../support/environment.ts";
import { startKafkaBehindProxy } from "../support/kafka-behind-proxy.ts";
import type { KafkaBehindProxy } from "../support/kafka-behind-proxy.ts";
import { produce } from "../support/produce.ts";
import { createTopicWith } from "../support/topic-settings.ts";
import { createTopic } from "../support/topics.ts";

const kafka = testKafka();
let reader: TopicReader;

beforeAll(async () => {
  reader = createTopicReader(kafka);
});
afterAll(async () => {
  await reader?.close();
});

const truncate = async (topic: string, offset: number): Promise<void> => {
  const bootstrapBrokers = [kafka.bootstrapServers];
  const admin = new Admin({ clientId: "test-truncate", bootstrapBrokers });
  try {
    const partitions = [{ partition: 0, offset: BigInt(offset) }];
    await admin.deleteRecords({ topics: [{ name: topic, partitions }] });
  } finally {
    await admin.close();
  }
};

const times = <T>(count: number, list: readonly T[]) =>
  Array.from({ length: count }, () => list).flat();

const many = (partition: number, count: number) =>
  Array.from({ length: count }, (_, n) => ({ partition, id: `${partition}-${n}`, value: `${n}` }));

describe("the ends of topics", () => {
  test("are told of all partitions; topics that do not exist are left out", async () => {
    const [one, two] = [await createTopic(2), await createTopic(1)];
    await produce(kafka, one, [...many(0, 3), ...many(1, 1)]);
    await produce(kafka, two, many(0, 5));
    await truncate(two, 2);
    const ends = [
      { topic: one, partition: 0, low: 0, high: 3 },
      { topic: one, partition: 1, low: 0, high: 1 },
      { topic: two, partition: 0, low: 2, high: 5 },
    ];
    expect(await reader.readEnds([one, two])).toEqual(ends);
    expect(await reader.readEnds([one, `test-${randomUUID()}`, two])).toEqual(ends);
    expect(await reader.readEnds([`test-${randomUUID()}`])).toEqual([]);
    expect(await reader.readEnds([])).toEqual([]);
    await produce(kafka, one, many(0, 1));
    expect((await reader.readEnds([one]))[0]?.high).toBe(4);
  });
});

describe("one record", () => {
  test("is read as it is; what retention has removed, or is not there yet, is none", async () => {
    const topic = await createTopicWith(2);
    await produce(kafka, topic, [
      ...many(0, 5),
      { partition: 1, id: "x", key: "k", value: "text", atMs: 1_700_000_000_000 },
    ]);
    expect(await reader.readRecord({ topic, partition: 1, offset: 0 })).toEqual({
      ...{ topic, partition: 1, offset: 0, timestampMs: 1_700_000_000_000 },
      ...{ key: Buffer.from("k"), value: Buffer.from("text") },
      headers: [{ ce_id: Buffer.from("x") }],
    });
    const valueAt = async (offset: number) =>
      String((await reader.readRecord({ topic, partition: 0, offset }))?.value);
    // Again and again, forwards and backwards, and several at a time.
    const offsets = [3, 3, 0, 4, 1, 2, 2];
    for (const offset of offsets) expect(await valueAt(offset)).toBe(String(offset));
    expect(await Promise.all(offsets.map(valueAt))).toEqual(offsets.map(String));
    await truncate(topic, 2);
    expect([await valueAt(1), await valueAt(2)]).toEqual(["undefined", "2"]);
    expect([await valueAt(5), await valueAt(500)]).toEqual(["undefined", "undefined"]);
    expect(await reader.readRecord({ topic, partition: 7, offset: 0 })).toBeUndefined();
  });

  test("of a topic of ours has the broker's time, whatever its producer says", async () => {
    const topic = await createTopic(1);
    const beganMs = Date.now();
    const atMs = 1_700_000_000_000;
    await produce(
      kafka,
      topic,
      many(0, 3).map((one, n) => ({ ...one, atMs: atMs + n })),
    );
    for (const offset of [0, 1, 2]) {
      const record = await reader.readRecord({ topic, partition: 0, offset });
      expect(record?.timestampMs).toBeGreaterThanOrEqual(beganMs);
      expect(record?.timestampMs).toBeLessThanOrEqual(Date.now());
    }
  });

  test("of a topic that does not exist is a fault, and the reader goes on", async () => {
    const unknown = reader.readRecord({ topic: `test-${randomUUID()}`, partition: 0, offset: 0 });
    expect(isFault(await failureOf(unknown), "topic_unknown")).toBe(true);
    expect(await reader.readEnds([await createTopic(1)])).toHaveLength(1);
  });
});

describe("a search", () => {
  const hourMs = 3_600_000;
  const nowMs = Date.now();
  const since = new Date(0);
  const plenty = { recordsMax: 10_000, deadlineMs: 10_000 };

  test("finds an event in any partition, and says when it is nowhere", async () => {
    const topic = await createTopic(3);
    await produce(
      kafka,
      topic,
      [0, 1, 2].flatMap((partition) => many(partition, 50)),
    );
    for (const eventId of ["0-0", "1-49", "2-20"]) {
      const { record } = await reader.findRecord({ topic, eventId, since }, plenty);
      expect(`${record?.partition}-${record?.value}`).toBe(eventId);
    }
    const none = await reader.findRecord({ topic, eventId: "3-0", since }, plenty);
    expect(none).toEqual({ examined: 150, isWhole: true });
  });

  test("with a key looks in its partition alone", async () => {
    const topic = await createTopic(5);
    const key = `key-${randomUUID()}`;
    const partition = partitionOf(Buffer.from(key), 5);
    const elsewhere = (partition + 1) % 5;
    await produce(kafka, topic, [
      ...[...many(partition, 10), ...many(elsewhere, 20)],
      ...[
        { partition, id: "here", key },
        { partition: elsewhere, id: "there", key },
      ],
    ]);
    const here = await reader.findRecord({ topic, eventId: "here", key, since }, plenty);
    expect([here.record?.partition, here.examined]).toEqual([partition, 11]);
    const there = await reader.findRecord({ topic, eventId: "there", key, since }, plenty);
    expect(there).toEqual({ examined: 11, isWhole: true });
  });

  test("looks from the first record that is not older up to one that is not older", async () => {
    const topic = await createTopicWith(1);
    const at = (hours: number, id: string) => ({ partition: 0, id, atMs: nowMs + hours * hourMs });
    // The fourth one has an older time than those before it.
    await produce(kafka, topic, [at(-9, "a"), at(-5, "b"), at(-3, "c"), at(-8, "d"), at(-1, "e")]);
    const look = async (eventId: string, from: number, to?: number) => {
      const until = to === undefined ? undefined : new Date(nowMs + to * hourMs);
      const wanted = { topic, eventId, since: new Date(nowMs + from * hourMs), until };
      const { record, examined, isWhole } = await reader.findRecord(wanted, plenty);
      return record ? record.offset : [examined, isWhole];
    };
    expect([await look("a", -6), await look("b", -5), await look("d", -6)]).toEqual([
      [4, true],
      1,
      3,
    ]);
    expect([await look("x", -6, -3), await look("x", -6, -2)]).toEqual([
      [1, true],
      [3, true],
    ]);
    expect([await look("x", 1), await look("x", -2, -8)]).toEqual([
      [0, true],
      [0, true],
    ]);
  });

  test("ends at its limits, and says that it has not seen everything", async () => {
    const topic = await createTopic(1);
    await produce(kafka, topic, many(0, 100));
    const wanted = { topic, eventId: "0-99", since };
    const some = await reader.findRecord(wanted, { ...plenty, recordsMax: 99 });
    expect(some).toEqual({ examined: 99, isWhole: false });
    const all = await reader.findRecord(wanted, { ...plenty, recordsMax: 100 });
    expect(all.record?.offset).toBe(99);
    const late = await reader.findRecord(wanted, { ...plenty, deadlineMs: 0 });
    expect(late).toEqual({ examined: 0, isWhole: false });
    const unknown = reader.findRecord({ ...wanted, topic: `test-${randomUUID()}` }, plenty);
    expect(isFault(await failureOf(unknown), "topic_unknown")).toBe(true);
  });

  test("goes through more than one answer, beside others", async () => {
    const topic = await createTopic(2);
    const large = "x".repeat(100_000);
    for (let n = 0; n < 8; n += 1) {
      await produce(
        kafka,
        topic,
        many(n % 2, 8).map((one) => ({ ...one, value: large })),
      );
    }
    const find = (eventId: string) => reader.findRecord({ topic, eventId, since }, plenty);
    const place = { topic, partition: 0, offset: 3 };
    const answers = await Promise.all([find("x"), find("y"), reader.readRecord(place), find("z")]);
    const none = { examined: 64, isWhole: true };
    expect(answers.filter((one) => one && "examined" in one)).toEqual([none, none, none]);
    expect((answers[2] as { offset: number }).offset).toBe(3);
  }, 20_000);
});

describe("a cluster that goes away", () => {
  const answerTimeoutMs = 700;
  const name = "reader-faults";
  const place = { topic: name, partition: 0, offset: 0 };
  const limits = { recordsMax: 10, deadlineMs: 1_000 };
  let own: KafkaBehindProxy;
  let faulty: TopicReader;

  beforeAll(async () => {
    own = await startKafkaBehindProxy();
    const topic = { ...defineTopic({ name, partitions: 1 }) };
    await applyTopics(own.connection, { topics: [topic], profile: "dev" });
    await produce(own.connection, name, many(0, 3));
    faulty = createTopicReader(own.connection, { answerTimeoutMs });
  }, 60_000);
  afterAll(async () => {
    await faulty?.close();
    await own?.remove();
  });

  const calls = () => [
    faulty.readEnds([name]),
    faulty.readRecord(place),
    faulty.findRecord({ topic: name, eventId: "x", since: new Date(0) }, limits),
  ];
  const failsInTime = async (): Promise<void> => {
    const startedMs = performance.now();
    const failures = await Promise.all(calls().map(failureOf));
    expect(failures.map((one) => isFault(one, "unavailable"))).toEqual([true, true, true]);
    expect(performance.now() - startedMs).toBeLessThan(answerTimeoutMs + 1_000);
  };
  const succeeds = async (): Promise<void> => {
    const [ends, record, found] = await Promise.all(calls());
    expect(ends).toEqual([{ topic: name, partition: 0, low: 0, high: 3 }]);
    expect([record, found]).toMatchObject([{ offset: 0 }, { examined: 3, isWhole: true }]);
  };

  test("is asked over connections that stay, also for what is not there", async () => {
    await succeeds();
    const before = own.connections();
    const offsets = [0, 7, 1, 9, 2, 0];
    const read = (offset: number) => faulty.readRecord({ ...place, offset });
    const unknown = failureOf(faulty.readRecord({ ...place, topic: "nowhere" }));
    const records = await Promise.all(times(8, offsets).map(read));
    const found = [0, undefined, 1, undefined, 2, 0];
    expect(records.map((one) => one?.offset)).toEqual(times(8, found));
    expect(isFault(await unknown, "topic_unknown")).toBe(true);
    await succeeds();
    expect(own.connections()).toBe(before);
  });

  test("whose connections have ended meanwhile is asked again, unnoticed", async () => {
    await succeeds();
    own.proxy.reset();
    await succeeds();
    await own.proxy.cut();
    await own.proxy.restore();
    await succeeds();
  });

  test("is a fault in time, and answers when it is back", async () => {
    await succeeds();
    await own.proxy.cut();
    await failsInTime();
    await failsInTime();
    await own.proxy.restore();
    await succeeds();
  });

  test("without a word is a fault in time, and answers when it is back", async () => {
    await succeeds();
    own.proxy.silence("from");
    await failsInTime();
    const before = own.connections();
    await failsInTime();
    // One that does not answer is not asked again.
    expect(own.connections()).toBeGreaterThan(before);
    own.proxy.silence(undefined);
    await succeeds();
  });

  test("is asked no more once the reader is closed", async () => {
    const other = createTopicReader(own.connection, { answerTimeoutMs });
    await other.readEnds([name]);
    await other.close();
    await other.close();
    expect(isFault(await failureOf(other.readEnds([name])), "unavailable")).toBe(true);
  });
});
