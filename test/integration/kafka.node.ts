/** The Confluent client behind our ports, on real Kafka. Runs on Node. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { readTopic } from "@outrider/broker";
import { isFault } from "@outrider/event";
import type { Publisher } from "@outrider/event";
import { createKafkaProbe, createOpenPublisher, createSubscribe } from "@outrider/kafka";
import { clientConfig, logEvent } from "../../packages/kafka/src/client-config.ts";
import { joinAs } from "../contract/member.ts";
import { keyIn } from "../contract/key-in.ts";
import { describePublisher, recordOf, valuesOf } from "../contract/publisher.ts";
import { describeSubscriber } from "../contract/subscriber.ts";
import { createCuttable } from "../support/cuttable.ts";
import type { Cuttable } from "../support/cuttable.ts";
import { testKafka } from "../support/environment.ts";
import { silentLog } from "../support/silent-log.ts";
import { committedOffsets, createTopicAtOnce, truncate } from "../support/kafka-admin.ts";
import { createTopic } from "../support/topics.ts";
import { until } from "../support/until.ts";

const kafka = testKafka();
const open = createOpenPublisher(kafka, silentLog, { clientId: "test-publisher" });
const read = (topic: string) => readTopic(kafka, topic);

describePublisher("over librdkafka", { open, createTopic, read });

describe("over librdkafka", () => {
  let publisher: Publisher;
  before(async () => {
    publisher = await open(0);
  });
  after(() => publisher.close());

  for (const protocol of [
    { groupProtocol: "consumer" },
    { groupProtocol: "classic", assignmentStrategy: "range" },
    { groupProtocol: "classic", assignmentStrategy: "cooperative-sticky" },
  ] as const) {
    const { groupProtocol, assignmentStrategy = "" } = { assignmentStrategy: "", ...protocol };
    describeSubscriber(`over librdkafka, protocol ${groupProtocol} ${assignmentStrategy}`, {
      subscribe: createSubscribe(kafka, silentLog, { clientId: "test-subscriber", ...protocol }),
      createTopic,
      publish: (records) => publisher.publish(records).done,
      truncate,
      committed: committedOffsets,
    });
  }

  test("a topic that is used before it has leaders loses and swaps nothing", async () => {
    // With five requests in flight a round in three loses some partition's first records. Enough
    // records that the first batches leave while the rest is still being enqueued.
    const [partitions, count] = [48, 4800];
    const keys = Array.from({ length: partitions }, (_, at) => keyIn(at, partitions));
    for (let round = 0; round < 15; round += 1) {
      const topic = `test-${randomUUID()}`;
      await createTopicAtOnce(topic, partitions);
      await publisher.publish(
        Array.from({ length: count }, (_, n) => recordOf(topic, keys[n % partitions] ?? "", n)),
      ).done;
      const found = await read(topic);
      for (const [at, key] of keys.entries()) {
        const sent = Array.from(
          { length: count / partitions },
          (_, turn) => turn * partitions + at,
        );
        assert.deepEqual(
          valuesOf(found, key),
          sent.map((n) => `${key}/${n}`),
        );
      }
    }
  });

  test("a batch larger than the client's queue waits for room", { timeout: 60_000 }, async (t) => {
    // queue.buffering.max.messages is 100,000: lingering, and spread so that no partition's batch
    // is full before (batch.num.messages is 10,000), it fills up.
    const topic = await createTopic(12);
    const lingering = { clientId: "test-publisher", lingerMs: 2000 };
    const own = await createOpenPublisher(kafka, silentLog, lingering)(0);
    t.after(() => own.close());
    const keys = Array.from({ length: 12 }, (_, at) => keyIn(at, 12));
    await own.publish(
      Array.from({ length: 110_000 }, (_, n) => ({
        ...recordOf(topic, keys[n % 12] ?? "", n),
        headers: [],
      })),
    ).done;
    const found = await read(topic);
    assert.equal(found.length, 110_000);
    for (const [at, key] of keys.entries()) {
      const values = valuesOf(found, key);
      assert.ok(values.every((value, n) => value === `${key}/${n * 12 + at}`));
    }
  });
});

test("settings that name credentials and certificates reach the client", () => {
  const sasl = { mechanism: "SCRAM-SHA-512", username: "u", password: "p" } as const;
  const tls = { caPath: "/ca.pem", certificatePath: "/cert.pem", keyPath: "/key.pem" };
  const configOf = (more: object) => clientConfig({ ...kafka, ...more }, "id");
  assert.equal(configOf({})["security.protocol"], "plaintext");
  assert.equal(configOf({ sasl })["security.protocol"], "sasl_plaintext");
  assert.equal(configOf({ tls: {} })["security.protocol"], "ssl");
  assert.partialDeepStrictEqual(configOf({ sasl, tls }), {
    "bootstrap.servers": kafka.bootstrapServers,
    "client.id": "id",
    "security.protocol": "sasl_ssl",
    "sasl.mechanisms": "SCRAM-SHA-512",
    "sasl.username": "u",
    "sasl.password": "p",
    "ssl.ca.location": "/ca.pem",
    "ssl.certificate.location": "/cert.pem",
    "ssl.key.location": "/key.pem",
  });
});

test("the client's own lines go to the log by their severity", () => {
  const said: string[] = [];
  const say = (level: string) => (fields: object, message: string) =>
    void said.push(`${level} ${message} ${JSON.stringify(fields)}`);
  const log = {
    child: () => log,
    debug: say("debug"),
    info: say("info"),
    warn: say("warn"),
    error: say("error"),
  };
  const hear = logEvent(log);
  for (const severity of [0, 3, 4, 5, 7]) hear({ severity, fac: "FAIL", message: `m${severity}` });
  hear({ severity: 4, fac: "CONFWARN", message: "gapless" });
  const levels = said.map((line) => line.split(" ", 2).join(" "));
  assert.deepEqual(levels, [
    "error m0",
    "error m3",
    "warn m4",
    "debug m5",
    "debug m7",
    "debug gapless",
  ]);
  assert.ok(said[0]?.endsWith('{"facility":"FAIL"}'));
});

describe("with Kafka away", () => {
  let away: Cuttable;
  let bootstrapServers: string;
  before(async () => {
    away = await createCuttable(`kafka://${kafka.bootstrapServers}`);
    bootstrapServers = new URL(away.url).host;
    await away.cut();
  });
  after(() => away.close());

  const isUnavailable = (error: unknown): boolean => isFault(error, "unavailable");

  test("a publisher is not opened, and says so in time", async () => {
    const settings = { clientId: "test-publisher", connectTimeoutMs: 500 };
    const startedMs = performance.now();
    await assert.rejects(
      createOpenPublisher({ bootstrapServers }, silentLog, settings)(0),
      isUnavailable,
    );
    assert.ok(performance.now() - startedMs < 3000);
  });

  test("the probe says so in time, and sees Kafka come back", async () => {
    const settings = { clientId: "test-probe", timeoutMs: 500 };
    const probe = createKafkaProbe({ bootstrapServers }, silentLog, settings);
    const startedMs = performance.now();
    await assert.rejects(probe.check(), isUnavailable);
    assert.ok(performance.now() - startedMs < 3000);
    await away.restore();
    try {
      await until(
        () =>
          probe.check().then(
            () => true,
            () => false,
          ),
        {
          what: "a healthy probe",
          timeoutMs: 20_000,
        },
      );
      await probe.check();
    } finally {
      await probe.close();
      await away.cut();
    }
  });

  const join = (topic: string) => {
    const subscribe = createSubscribe({ bootstrapServers }, silentLog, {
      clientId: "test-subscriber",
      rebuild: { baseMs: 50, capMs: 200 },
    });
    return joinAs(subscribe, { topic, group: `group-${randomUUID()}` }, {});
  };

  test("a subscriber closes within 5 s", { timeout: 30_000 }, async () => {
    const member = join("any");
    assert.ok(!member.subscriber.isHealthy());
    const startedMs = performance.now();
    await member.subscriber.close();
    assert.ok(performance.now() - startedMs < 5000, `${performance.now() - startedMs} ms`);
  });

  test("a subscriber begins as soon as Kafka comes back", { timeout: 60_000 }, async () => {
    const topic = await createTopic(1);
    const publisher = await open(0);
    await publisher.publish([recordOf(topic, "k", 1)]).done;
    await publisher.close();
    const member = join(topic);
    await away.restore();
    try {
      await until(() => member.received.length === 1, { what: "the record", timeoutMs: 40_000 });
      assert.ok(member.subscriber.isHealthy());
    } finally {
      await member.subscriber.close();
      await away.cut();
    }
  });
});
