/** What every `Subscribe` must do, as a suite over a factory; runs under Node and Bun alike. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { afterEach, describe, test } from "node:test";
import { partitionOf } from "@outrider/event";
import type { Position, PublishRecord, Subscribe } from "@outrider/event";
import { until } from "../support/until.ts";
import { joinAs } from "./member.ts";
import type { Member, MemberOptions } from "./member.ts";
import { keyIn } from "./key-in.ts";

export type SubscriberSubject = Readonly<{
  subscribe: Subscribe;
  createTopic(partitions: number): Promise<string>;
  publish(records: readonly PublishRecord[]): Promise<void>;
  /** Removes the records of partition 0 below `offset`. */
  truncate(topic: string, offset: number): Promise<void>;
  /** The offsets that the group has committed, by partition. */
  committed(group: string, topic: string): Promise<Readonly<Record<number, number>>>;
}>;

const closeMsMax = 2000;

export const describeSubscriber = (name: string, subject: SubscriberSubject): void => {
  describe(`the subscriber ${name}`, () => {
    const members: Member[] = [];
    const join = (topic: string, group: string, options: MemberOptions = {}): Member => {
      const member = joinAs(subject.subscribe, { topic, group }, options);
      members.push(member);
      return member;
    };
    afterEach(() => Promise.all(members.splice(0).map((member) => member.subscriber.close())));

    const newGroup = (): string => `group-${randomUUID()}`;

    /** Adds records `from` to `to` - 1 to each partition; the value tells which one it is. */
    const fill = (topic: string, partitions: number, [from, to]: readonly [number, number]) => {
      const keys = Array.from({ length: partitions }, (_, at) => keyIn(at, partitions));
      const numbers = Array.from({ length: to - from }, (_, n) => from + n);
      return subject.publish(
        numbers.flatMap((n) =>
          keys.map((key) => ({
            topic,
            key: Buffer.from(key),
            value: Buffer.from(`${n}`),
            headers: [{ n: Buffer.from(`${n}`) }],
          })),
        ),
      );
    };

    const arrived = (member: Member, partition: number, count: number) =>
      until(() => member.offsets(partition).length >= count, {
        what: `${count} records of partition ${partition}`,
        timeoutMs: 20_000,
      });

    const numbers = (from: number, to: number): number[] =>
      Array.from({ length: to - from }, (_, n) => from + n);

    test("starts each partition where it is told to, and delivers in order", async () => {
      const topic = await subject.createTopic(3);
      const beganMs = Date.now();
      await fill(topic, 3, [0, 60]);
      await subject.truncate(topic, 20);
      const starts: Record<number, number> = { 0: 20, 1: 45, 2: 60 };
      const member = join(topic, newGroup(), {
        startAt: ({ partition }) => starts[partition] ?? 0,
      });
      await arrived(member, 0, 40);
      await arrived(member, 1, 15);
      await fill(topic, 3, [60, 70]);
      await arrived(member, 2, 10);
      await arrived(member, 1, 25);
      assert.deepEqual(
        [...member.offered.values()].sort((a, b) => a.partition - b.partition),
        [
          { topic, partition: 0, low: 20, high: 60 },
          { topic, partition: 1, low: 0, high: 60 },
          { topic, partition: 2, low: 0, high: 60 },
        ],
      );
      assert.deepEqual(member.offsets(0).slice(0, 40), numbers(20, 60));
      assert.deepEqual(member.offsets(1), numbers(45, 70));
      assert.deepEqual(member.offsets(2), numbers(60, 70));
      for (const record of member.received) {
        assert.equal(Buffer.from(record.value ?? []).toString(), `${record.offset}`);
        assert.equal(Buffer.from(record.headers[0]?.n ?? []).toString(), `${record.offset}`);
        assert.ok(record.timestampMs >= beganMs && record.timestampMs <= Date.now());
        assert.equal(partitionOf(record.key ?? Buffer.alloc(0), 3), record.partition);
      }
      assert.ok(member.subscriber.isHealthy());
    });

    test("headers come as they are, whatever their names, in order, with repetitions", async () => {
      const topic = await subject.createTopic(1);
      const names = ["b", "__proto__", "constructor", "a", "", "7", "b", "__proto__", "é"];
      const headers = names.map((header, n) => ({ [header]: Buffer.from([0, 255, n]) }));
      const value = Buffer.from("v");
      await subject.publish([{ topic, key: value, value, headers }]);
      const member = join(topic, newGroup());
      await arrived(member, 0, 1);
      const found = member.received[0]?.headers.map((header) => Object.entries(header));
      assert.deepEqual(
        found,
        headers.map((header) => Object.entries(header)),
      );
    });

    test("a paused partition gives nothing new; resumed it misses nothing", async () => {
      const topic = await subject.createTopic(2);
      await fill(topic, 2, [0, 20]);
      const member = join(topic, newGroup());
      await arrived(member, 0, 20);
      member.subscriber.pause([{ topic, partition: 0 }]);
      await fill(topic, 2, [20, 500]);
      await arrived(member, 1, 500);
      assert.deepEqual(member.offsets(0), numbers(0, 20));
      member.subscriber.resume([{ topic, partition: 0 }]);
      await arrived(member, 0, 500);
      assert.deepEqual(member.offsets(0), numbers(0, 500));
      assert.deepEqual(member.offsets(1), numbers(0, 500));
    });

    test("what was paused when it was taken away flows when it comes back", async () => {
      const topic = await subject.createTopic(2);
      const group = newGroup();
      await fill(topic, 2, [0, 20]);
      const started: number[] = [];
      const first = join(topic, group, { onStart: (partition) => void started.push(partition) });
      for (const at of [0, 1]) await arrived(first, at, 20);
      first.subscriber.pause([0, 1].map((partition) => ({ topic, partition })));
      const second = join(topic, group);
      await until(() => second.offered.size === 1, { what: "a share", timeoutMs: 20_000 });
      await second.subscriber.close();
      const taken = [...second.offered.keys()] as [number];
      const isBack = () => started.filter((at) => at === taken[0]).length === 2;
      await until(isBack, { what: "the share to come back", timeoutMs: 20_000 });
      await fill(topic, 2, [20, 40]);
      await until(() => first.offsets(taken[0]).at(-1) === 39, { what: "the rest" });
    });

    test("rejoining drains what is assigned, and asks anew where to start", async () => {
      const topic = await subject.createTopic(2);
      await fill(topic, 2, [0, 20]);
      let start = 20;
      const drained: Position[] = [];
      const member = join(topic, newGroup(), {
        startAt: () => start,
        onDrained: (positions) => void drained.push(...positions),
      });
      await until(() => member.offered.size === 2, { what: "both", timeoutMs: 20_000 });
      start = 5;
      member.subscriber.rejoin();
      for (const at of [0, 1]) await arrived(member, at, 15);
      assert.deepEqual(
        drained.map((one) => one.offset),
        [20, 20],
      );
      for (const at of [0, 1]) assert.deepEqual(member.offsets(at), numbers(5, 20));
    });

    test("a partition moves when it is drained, and goes on where its owner stopped", async () => {
      const topic = await subject.createTopic(4);
      const group = newGroup();
      const watermarks = new Map<number, number>();
      const startAt = ({ partition }: Readonly<{ partition: number }>) =>
        watermarks.get(partition) ?? 0;
      const steps: string[] = [];
      const onDrained = (who: string) => (positions: readonly Position[]) => {
        for (const { partition, offset } of positions) {
          watermarks.set(partition, offset);
          steps.push(`${who} gave ${partition}`);
        }
      };
      const onStart = (who: string) => (partition: number) =>
        steps.push(`${who} took ${partition}`);
      await fill(topic, 4, [0, 100]);
      const first = join(topic, group, {
        startAt,
        drainMs: 700,
        onDrained: onDrained("first"),
        onStart: onStart("first"),
      });
      for (const at of numbers(0, 4)) await arrived(first, at, 100);
      const second = join(topic, group, { startAt, onStart: onStart("second") });
      await until(() => second.offered.size === 2, {
        what: "a share for the second",
        timeoutMs: 20_000,
      });
      await fill(topic, 4, [100, 200]);
      const moved = [...second.offered.keys()];
      const stayed = numbers(0, 4).filter((at) => !moved.includes(at));
      for (const at of moved) await arrived(second, at, 100);
      for (const at of stayed) {
        const both = () => first.offsets(at).at(-1) === 199;
        await until(both, { what: "the rest", timeoutMs: 20_000 });
      }
      for (const at of moved) {
        assert.deepEqual([...first.offsets(at), ...second.offsets(at)], numbers(0, 200));
        assert.ok(steps.indexOf(`first gave ${at}`) < steps.indexOf(`second took ${at}`));
        assert.ok(steps.includes(`first gave ${at}`));
      }
      // The classic protocol takes everything away first; nothing may be missing or twice even so.
      for (const at of stayed) assert.deepEqual(first.offsets(at), numbers(0, 200));
    });

    test("closing drains what is assigned, leaves within 2 s and delivers no more", async () => {
      const topic = await subject.createTopic(2);
      const group = newGroup();
      await fill(topic, 2, [0, 50]);
      const drained: number[] = [];
      const member = join(topic, group, {
        drainMs: 100,
        onDrained: (positions) => drained.push(...positions.map((one) => one.partition)),
      });
      await arrived(member, 0, 50);
      await arrived(member, 1, 50);
      const startedMs = performance.now();
      await Promise.all([member.subscriber.close(), member.subscriber.close()]);
      assert.ok(performance.now() - startedMs < closeMsMax);
      assert.deepEqual(drained.sort(), [0, 1]);
      assert.ok(!member.subscriber.isHealthy());
      const next = join(topic, group, { startAt: () => 50 });
      await fill(topic, 2, [50, 60]);
      // It would wait for a session to time out, had the first one not left.
      await arrived(next, 0, 10);
      await arrived(next, 1, 10);
      assert.equal(member.received.length, 100);
      await member.subscriber.close();
    });

    test("closing right after subscribing is quick too", async () => {
      const member = join(await subject.createTopic(1), newGroup());
      const startedMs = performance.now();
      await member.subscriber.close();
      assert.ok(performance.now() - startedMs < closeMsMax);
    });

    test("a commit is seen as the group's offset, and none comes by itself", async () => {
      const topic = await subject.createTopic(2);
      const group = newGroup();
      await fill(topic, 2, [0, 30]);
      const member = join(topic, group);
      await arrived(member, 0, 30);
      await arrived(member, 1, 30);
      await member.subscriber.commit([{ topic, partition: 1, offset: 17 }]);
      await until(async () => (await subject.committed(group, topic))[1] === 17, {
        what: "the committed offset",
      });
      await member.subscriber.close();
      assert.deepEqual(await subject.committed(group, topic), { 1: 17 });
      await member.subscriber.commit([{ topic, partition: 1, offset: 30 }]);
      assert.deepEqual(await subject.committed(group, topic), { 1: 17 });
    });

    test("where an assignment cannot be answered it says so and asks again", async () => {
      const topic = await subject.createTopic(1);
      await fill(topic, 1, [0, 10]);
      let asked = 0;
      const member = join(topic, newGroup(), {
        startAt: () => {
          asked += 1;
          if (asked === 1) throw new Error("no watermark yet");
          return 0;
        },
      });
      await arrived(member, 0, 10);
      assert.equal(asked, 2);
      assert.ok(member.errors.some((error) => String(error).includes("no watermark yet")));
      assert.deepEqual(member.offsets(0), numbers(0, 10));
    });

    test("a start beyond the log is an error to be seen, never a silent jump", async () => {
      const topic = await subject.createTopic(1);
      await fill(topic, 1, [0, 10]);
      const member = join(topic, newGroup(), { startAt: () => 1000 });
      await until(() => member.errors.length > 0, { what: "an error", timeoutMs: 20_000 });
      assert.deepEqual(member.received, []);
    });
  });
};
