import { describe, expect, test } from "bun:test";
import { defineEvent } from "@outrider/event";
import type { KafkaRecord, Log } from "@outrider/event";
import type { Transaction } from "@outrider/postgres";
import * as v from "valibot";
import { defineBatchHandler } from "./handler.ts";
import type { Handler } from "./handler.ts";
import type { LaneBreakers } from "./lane.ts";
import { createPartition } from "./partition.ts";
import type { PartitionDeps } from "./partition.ts";
import { runInTime } from "./run-batch.ts";
import type { Run } from "./run-batch.ts";

const counted = defineEvent({
  type: "test.counted",
  version: 1,
  source: "test",
  category: "domain",
  topic: "counted",
  data: v.object({ n: v.number() }),
  key: () => "k",
});

const recordAt = (offset: number, key?: string): KafkaRecord => {
  const id = `0192f0c1-7a3e-7b54-9c55-${String(offset).padStart(12, "0")}`;
  const headers = { ce_id: id, ce_type: "test.counted", ce_source: "test" };
  return {
    topic: "counted",
    partition: 2,
    offset,
    timestampMs: 0,
    key: key === undefined ? null : Buffer.from(key),
    value: Buffer.from(JSON.stringify({ n: offset })),
    headers: Object.entries(headers).map(([name, text]) => ({ [name]: Buffer.from(text) })),
  };
};

const log: Log = {
  child: () => log,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};

/** Stands for Postgres: everything is new. */
const handle = async (run: Run): Promise<number> => {
  const events = run.deliveries.map((one) => one.eventFor(run.handler));
  await runInTime({ ...run, attempts }, events, { tx: {} as Transaction, emit: () => {} });
  return events.length;
};
const attempts = { begin: async () => 1, end: async () => {} };

const breakers: LaneBreakers = {
  isOpen: () => false,
  admit: async () => "all",
  yield: async () => {},
  succeeded: async () => {},
  failed: async () => {},
};

const work: PartitionDeps["work"] = {
  batch: async (run) => ({ handled: await handle(run) }),
  unit: handle,
  noteTry: async () => {},
  putAway: async () => {},
  parkUnrun: async (_handler, deliveries) => deliveries.length,
};

/** A handler that takes as long as its test wants: it waits for a step per batch. */
const createStepped = (name: string, batchSizeMax = 1) => {
  const seen: number[] = [];
  const waiting: (() => void)[] = [];
  let free = false;
  const handler: Handler = defineBatchHandler({
    name,
    on: [counted],
    batchSizeMax,
    run: async (events) => {
      if (!free) await new Promise<void>((resolve) => waiting.push(resolve));
      seen.push(...events.map((event) => event.data.n));
    },
  });
  return {
    handler,
    seen,
    /** It runs, and waits. */
    begun: () => settled(() => waiting.length > 0),
    step: async () => {
      await settled(() => waiting.length > 0);
      waiting.shift()?.();
    },
    run: () => {
      free = true;
      for (const go of waiting.splice(0)) go();
    },
  };
};

const settled = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await Bun.sleep(0);
};

const setUp = (handlers: readonly Handler[], start = 10, more: Partial<PartitionDeps> = {}) => {
  let resolutions = 0;
  const partition = createPartition({ topic: "counted", partition: 2, offset: start }, handlers, {
    ...{ work, breakers, isAlone: true },
    log,
    retry: { baseMs: 1, capMs: 1 },
    random: () => 0,
    onResolved: () => (resolutions += 1),
    ...more,
  });
  return { partition, offset: () => partition.position().offset, resolutions: () => resolutions };
};

describe("a partition", () => {
  test("stands where it starts until something is resolved", () => {
    const { partition, offset } = setUp([createStepped("test.a").handler]);
    const start = { topic: "counted", partition: 2, offset: 10, leaderEpoch: null };
    expect(partition.position()).toEqual(start);
    partition.admit([recordAt(10), recordAt(11)]);
    expect([offset(), partition.unresolved()]).toEqual([10, 2]);
  });

  test("knows the leader epoch of the last record below its position", async () => {
    const stepped = createStepped("test.a");
    const { partition, offset } = setUp([stepped.handler]);
    partition.admit([
      { ...recordAt(10), leaderEpoch: 3 },
      { ...recordAt(11), leaderEpoch: 4 },
    ]);
    await stepped.step();
    await settled(() => offset() === 11);
    expect(partition.position()).toMatchObject({ offset: 11, leaderEpoch: 3 });
    await stepped.step();
    await settled(() => offset() === 12);
    expect(partition.position()).toMatchObject({ offset: 12, leaderEpoch: 4 });
    await partition.drain(0);
  });

  test("resolves a record when every handler is past it, each at its own speed", async () => {
    const [fast, slow] = [createStepped("test.fast"), createStepped("test.slow")];
    const { partition, offset, resolutions } = setUp([fast.handler, slow.handler]);
    partition.admit([recordAt(10), recordAt(11), recordAt(12)]);
    fast.run();
    await settled(() => fast.seen.length === 3);
    expect([offset(), partition.unresolved(), resolutions()]).toEqual([10, 3, 0]);
    await slow.step();
    await settled(() => resolutions() === 1);
    expect([offset(), partition.unresolved()]).toEqual([11, 2]);
    slow.run();
    await settled(() => partition.unresolved() === 0);
    expect(offset()).toBe(13);
    expect([fast.seen, slow.seen]).toEqual([
      [10, 11, 12],
      [10, 11, 12],
    ]);
  });

  test("follows a log with holes, never standing above a record", async () => {
    const one = createStepped("test.a");
    const { partition, offset } = setUp([one.handler]);
    partition.admit([recordAt(14), recordAt(20)]);
    expect(offset()).toBe(14);
    await one.step();
    await settled(() => partition.unresolved() === 1);
    expect(offset()).toBe(20);
    await one.step();
    await settled(() => partition.unresolved() === 0);
    expect(offset()).toBe(21);
    partition.admit([recordAt(30)]);
    expect(offset()).toBe(30);
    one.run();
  });

  test("takes what comes later, after it had nothing to do", async () => {
    const one = createStepped("test.a", 100);
    one.run();
    const { partition } = setUp([one.handler]);
    for (let offset = 10; offset < 100; offset += 1) {
      partition.admit([recordAt(offset)]);
      if (offset % 7 === 0) await settled(() => partition.unresolved() === 0);
    }
    await settled(() => partition.unresolved() === 0);
    expect(one.seen).toEqual(Array.from({ length: 90 }, (_, n) => n + 10));
  });

  test("says what fails in it, while it fails", async () => {
    const failing = defineBatchHandler({
      name: "test.failing",
      on: [counted],
      run: async () => {
        throw new Error("no");
      },
    });
    const putAway = () => Promise.reject(new Error("Postgres is away"));
    const { partition, offset } = setUp([failing], 10, { work: { ...work, putAway } });
    partition.admit([recordAt(10)]);
    await settled(() => partition.failures().length > 0);
    expect(partition.failures()[0]).toMatchObject({ handler: "test.failing", offset: 10 });
    await partition.drain(1000);
    expect([offset(), partition.unresolved()]).toEqual([10, 1]);
  });
});

describe("a handler with several keys of a partition at the same time", () => {
  /** The first event of the key `slow` waits for the gate. */
  const createGated = () => {
    const gate = Promise.withResolvers<void>();
    const seen: number[] = [];
    const handler = defineBatchHandler({
      ...{ name: "test.gated", on: [counted], batchSizeMax: 2, concurrency: 3 },
      run: async (events) => {
        if (events.some((event) => event.data.n === 10)) await gate.promise;
        seen.push(...events.map((event) => event.data.n));
      },
    });
    return { gate, seen, handler };
  };

  test("does not keep the others waiting for one that takes long, however many come", async () => {
    const { gate, seen, handler } = createGated();
    const { partition, offset } = setUp([handler]);
    partition.admit([recordAt(10, "slow"), recordAt(11, "a"), recordAt(12, "slow")]);
    for (let n = 13; n < 100; n += 1) {
      partition.admit([recordAt(n, "abcd"[n % 4])]);
      await settled(() => seen.includes(n));
    }
    expect([offset(), partition.unresolved(), seen.includes(12)]).toEqual([10, 90, false]);
    gate.resolve();
    await settled(() => partition.unresolved() === 0);
    expect(offset()).toBe(100);
    // What was resolved while it waited for more is not counted twice.
    partition.admit([recordAt(100, "a")]);
    await settled(() => partition.unresolved() === 0);
    expect(seen).toHaveLength(91);
    await partition.drain(1000);
  });

  test("that is held back meanwhile runs nothing of what it has taken", async () => {
    const { gate, seen, handler } = createGated();
    const unrun: number[] = [];
    let isOpen = false;
    const { partition } = setUp([handler], 10, {
      isAlone: false,
      breakers: { ...breakers, isOpen: () => isOpen },
      work: {
        ...work,
        parkUnrun: async (_handler, deliveries) => {
          unrun.push(...deliveries.map((one) => one.record.offset));
          return deliveries.length;
        },
      },
    });
    for (let n = 10; n < 20; n += 1) partition.admit([recordAt(n, "slow")]);
    await Bun.sleep(5);
    isOpen = true;
    gate.resolve();
    await settled(() => partition.unresolved() === 0);
    expect([seen, unrun]).toEqual([
      [10, 11],
      [12, 13, 14, 15, 16, 17, 18, 19],
    ]);
  });
});

describe("draining", () => {
  test("waits for what is running, starts nothing else and admits nothing more", async () => {
    const one = createStepped("test.a");
    const { partition, offset } = setUp([one.handler]);
    partition.admit([recordAt(10), recordAt(11)]);
    await one.begun();
    let drained = false;
    const draining = partition.drain(60_000).then(() => (drained = true));
    partition.admit([recordAt(12)]);
    await Bun.sleep(5);
    expect(drained).toBe(false);
    one.run();
    await draining;
    expect(one.seen).toEqual([10]);
    expect([offset(), partition.unresolved()]).toEqual([11, 1]);
  });

  test("ends what takes too long, which stays unresolved", async () => {
    const one = createStepped("test.a");
    const { partition, offset } = setUp([one.handler]);
    partition.admit([recordAt(10)]);
    await one.begun();
    await partition.drain(10);
    expect([one.seen, offset()]).toEqual([[], 10]);
  });

  test("an idle partition is done at once", async () => {
    const { partition } = setUp([createStepped("test.a").handler]);
    await partition.drain(60_000);
    expect(partition.position().offset).toBe(10);
  });
});
