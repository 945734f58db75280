/** What every `OpenPublisher` must do, as a suite over a factory; runs under Node and Bun alike. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, describe, test } from "node:test";
import { isFault, partitionOf } from "@outrider/event";
import type { KafkaRecord, OpenPublisher, Publisher, PublishRecord } from "@outrider/event";

export type PublisherSubject = Readonly<{
  open: OpenPublisher;
  /** A new topic; records above `maxMessageBytes` are refused where it is given. */
  createTopic(partitions: number, maxMessageBytes?: number): Promise<string>;
  /** Everything in the topic, in offset order within each partition. */
  read(topic: string): Promise<readonly KafkaRecord[]>;
}>;

/** Record `n` of a key, with headers and bytes of its own. */
export const recordOf = (topic: string, key: string, n: number, value?: Buffer): PublishRecord => ({
  topic,
  key: Buffer.from(key),
  value: value ?? Buffer.from(`${key}/${n}`),
  headers: [
    { ce_id: Buffer.from(`id-${n}`) },
    { same: Buffer.from("first") },
    { same: Buffer.from("second") },
    { bytes: Buffer.from([0, 1, 127, 128, 255, n % 256]) },
    { empty: Buffer.alloc(0) },
  ],
});

/** A record as text, so that two can be compared whatever bytes classes they use. */
const shown = (one: PublishRecord | KafkaRecord): string => {
  const hex = (bytes: Uint8Array | string | null) => bytes && Buffer.from(bytes).toString("hex");
  const headers = one.headers.map((header) =>
    Object.entries(header).map(([name, bytes]) => [name, hex(bytes)]),
  );
  return JSON.stringify([hex(one.key), hex(one.value), headers]);
};

const keyed = (records: readonly KafkaRecord[], key: string): KafkaRecord[] =>
  records.filter((record) => Buffer.from(record.key ?? []).toString() === key);

export const valuesOf = (records: readonly KafkaRecord[], key: string): string[] =>
  keyed(records, key).map((record) => Buffer.from(record.value ?? []).toString());

const isPublishFailed = (error: unknown): boolean => isFault(error, "publish_failed");

export const describePublisher = (name: string, subject: PublisherSubject): void => {
  describe(`the publisher ${name}`, () => {
    const opened: Publisher[] = [];
    const open = async (): Promise<Publisher> => {
      const publisher = await subject.open(3);
      opened.push(publisher);
      return publisher;
    };
    after(() => Promise.all(opened.map((publisher) => publisher.close())));

    test("resolves when everything is in the log, in order, where murmur2 puts it", async () => {
      const topic = await subject.createTopic(12);
      const publisher = await open();
      const keys = Array.from({ length: 40 }, (_, n) => `${"key".repeat(n % 5)}-${n}é`);
      const batch = Array.from({ length: 2000 }, (_, n) =>
        recordOf(topic, keys[(n * 7) % keys.length] ?? "", n),
      );
      await publisher.publish(batch).done;
      const found = await subject.read(topic);
      assert.equal(found.length, batch.length);
      for (const key of keys) {
        const mine = keyed(found, key);
        const sent = batch.filter((record) => Buffer.from(record.key).toString() === key);
        assert.deepEqual(mine.map(shown), sent.map(shown));
        const partitions = new Set(mine.map((record) => record.partition));
        assert.deepEqual([...partitions], [partitionOf(Buffer.from(key), 12)]);
      }
    });

    test("puts batch after batch, and into several topics at once", async () => {
      const [one, other] = [await subject.createTopic(1), await subject.createTopic(1)];
      const publisher = await open();
      for (let n = 0; n < 50; n += 2) {
        const both = [one, other].map((topic) => publisher.publish([recordOf(topic, "k", n)]));
        await Promise.all(both.map((delivery) => delivery.done));
        await publisher.publish([recordOf(one, "k", n + 1)]).done;
      }
      const expected = Array.from({ length: 50 }, (_, n) => `k/${n}`);
      assert.deepEqual(valuesOf(await subject.read(one), "k"), expected);
      assert.equal((await subject.read(other)).length, 25);
    });

    test("has nothing to do for an empty batch", async () => {
      await (await open()).publish([]).done;
    });

    test("keys and values may hold any byte", async () => {
      const topic = await subject.createTopic(12);
      const bytes = Array.from({ length: 64 }, () => randomBytes(33));
      bytes.push(Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)), Buffer.from([0]));
      const batch = bytes.map((key, n) => ({ ...recordOf(topic, "", n, key), key }));
      await (await open()).publish(batch).done;
      const found = await subject.read(topic);
      assert.deepEqual(found.map(shown).sort(), batch.map(shown).sort());
      for (const { key, partition } of found) {
        assert.equal(partition, partitionOf(key ?? Buffer.alloc(0), 12));
      }
    });

    test("takes a delivery for each topic at a time, and keeps each one's order", async () => {
      const [one, other] = [await subject.createTopic(1), await subject.createTopic(1)];
      const publisher = await open();
      for (let n = 0; n < 60; n += 6) {
        const numbers = [0, 1, 2].map((part) => n + part);
        const batch = (topic: string) => numbers.map((part) => recordOf(topic, "k", part));
        const deliveries = [publisher.publish(batch(one)), publisher.publish(batch(other))];
        assert.throws(() => publisher.publish(batch(one)), /one delivery in flight/);
        await Promise.all(deliveries.map((delivery) => delivery.done));
        assert.ok(deliveries.every((delivery) => !delivery.isRefused()));
      }
      const expected = Array.from({ length: 60 }, (_, n) => n).filter((n) => n % 6 < 3);
      for (const topic of [one, other]) {
        const found = valuesOf(await subject.read(topic), "k");
        assert.deepEqual(
          found,
          expected.map((n) => `k/${n}`),
        );
      }
    });

    test("says which delivery was refused, and for what", async () => {
      const [small, large] = [await subject.createTopic(1, 50_000), await subject.createTopic(1)];
      const publisher = await open();
      const sound = publisher.publish([recordOf(large, "k", 1)]);
      await sound.done;
      const refused = publisher.publish([recordOf(small, "k", 2, randomBytes(60_000))]);
      const error = await refused.done.catch((reason: unknown) => reason);
      assert.ok(isFault(error, "publish_failed"));
      assert.deepEqual(error.details, {
        scope: "record",
        reason: "MSG_SIZE_TOO_LARGE",
        topic: small,
      });
      assert.deepEqual([sound.isRefused(), refused.isRefused()], [false, true]);
    });

    // The broker's word for it is MSG_SIZE_TOO_LARGE. Without gapless mode what stood behind the
    // refused record was stored all the same, and a key's later events overtook its lost one.
    test("MSG_SIZE_TOO_LARGE: nothing behind a refused record gets into the log", async () => {
      const topic = await subject.createTopic(1, 50_000);
      const publisher = await open();
      // Of one letter, so that a megabyte of them compresses below the limit: batches of their own.
      const values = (n: number) => Buffer.from(`${n}`.padStart(2000, "x"));
      const batch = Array.from({ length: 6000 }, (_, n) =>
        recordOf(topic, "k", n, n === 2500 ? randomBytes(200_000) : values(n)),
      );
      await assert.rejects(publisher.publish(batch).done, isPublishFailed);
      const found = valuesOf(await subject.read(topic), "k").map((value) =>
        value.replace(/x+/, ""),
      );
      assert.ok(found.length <= 2500, `${found.length} records were stored`);
      assert.deepEqual(
        found,
        found.map((_, n) => `${n}`),
      );
      await assert.rejects(publisher.publish([recordOf(topic, "k", 1)]).done, isPublishFailed);
      await publisher.close();
      const next = await open();
      await next.publish([recordOf(topic, "next", 1)]).done;
      assert.deepEqual(valuesOf(await subject.read(topic), "next"), ["next/1"]);
    });

    test("takes the largest record that an ordinary topic takes", async () => {
      const topic = await subject.createTopic(1);
      await (await open()).publish([recordOf(topic, "k", 1, randomBytes(1_040_000))]).done;
      assert.equal((await subject.read(topic)).length, 1);
    });

    // The topic's limit is one for a broker's batch, so batches may not grow beyond it.
    test("takes large records together that its topic takes one by one", async () => {
      const topic = await subject.createTopic(1);
      const batch = Array.from({ length: 40 }, (_, n) =>
        recordOf(topic, "k", n, randomBytes(n % 2 === 0 ? 150_000 : 900_000)),
      );
      await (await open()).publish(batch).done;
      assert.deepEqual((await subject.read(topic)).map(shown), batch.map(shown));
    });

    test("closing ends a batch that cannot, and leaves a publisher of no use", async () => {
      const publisher = await open();
      const stuck = assert.rejects(
        publisher.publish([recordOf("no-such-topic", "k", 1)]).done,
        isPublishFailed,
      );
      await publisher.close();
      await stuck;
      await assert.rejects(
        publisher.publish([recordOf("no-such-topic", "k", 1)]).done,
        isPublishFailed,
      );
    });

    test("UNKNOWN_TOPIC: one that the cluster does not have is refused as a whole", async () => {
      const publisher = await open();
      const delivery = publisher.publish([recordOf("no-such-topic", "k", 1)]);
      const error = await delivery.done.catch((reason: unknown) => reason);
      assert.ok(isFault(error, "publish_failed"));
      assert.equal(error.details.scope, "topic");
      await assert.rejects(
        publisher.publish([recordOf("no-such-topic", "k", 1)]).done,
        isPublishFailed,
      );
    });

    test("closing twice, at once or later, resolves both times", { timeout: 10_000 }, async () => {
      const publisher = await open();
      await publisher.publish([recordOf(await subject.createTopic(1), "k", 1)]).done;
      await Promise.all([publisher.close(), publisher.close()]);
      await publisher.close();
    });
  });
};
