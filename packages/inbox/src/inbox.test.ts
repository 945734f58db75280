import { describe, expect, test } from "bun:test";
import { defineEvent, fault, isFault } from "@outrider/event";
import type { AssignedPartition, KafkaRecord, Log, PartitionLog } from "@outrider/event";
import type { Position, ReadLogs, SubscriberEvents, TopicPartition } from "@outrider/event";
import type { Sql, Transaction } from "@outrider/postgres";
import * as v from "valibot";
import { defineBatchHandler } from "./handler.ts";
import type { Handler } from "./handler.ts";
import { startInbox } from "./inbox.ts";
import type { InboxDeps, InboxSettings } from "./inbox.ts";

const counted = defineEvent({
  type: "test.counted",
  version: 1,
  source: "test",
  category: "domain",
  topic: "counted",
  data: v.object({ n: v.number() }),
  key: () => "k",
});

const recordAt = (offset: number, partition = 0): KafkaRecord => {
  const id = `0192f0c1-7a3e-7b54-9c55-${String(offset).padStart(12, "0")}`;
  const headers = { ce_id: id, ce_type: "test.counted", ce_source: "test" };
  return {
    topic: "counted",
    partition,
    offset,
    timestampMs: 0,
    key: null,
    value: Buffer.from(JSON.stringify({ n: offset })),
    headers: Object.entries(headers).map(([name, text]) => ({ [name]: Buffer.from(text) })),
  };
};

const identity = { clusterId: "cluster", topicId: "topic" } as const;

/** Stands for the consumer group and for Postgres; notes down what it is asked. */
const createWorld = (watermarks: Record<number, number> = {}) => {
  const stored = new Map(Object.entries(watermarks).map(([at, offset]) => [Number(at), offset]));
  const halts = new Map<number, string>();
  /** Groups that have written watermarks. */
  const writers = new Set<unknown>();
  const steps: string[] = [];
  /** What the brokers say of each partition, as it was when it was offered. */
  const logs = new Map<number, PartitionLog>();
  const committed: Position[] = [];
  const warnings: string[] = [];
  const groups: { group: string; topics: readonly string[]; events: SubscriberEvents }[] = [];
  let isAway = false;
  let isSilent = false;
  const names = (partitions: readonly TopicPartition[]) =>
    partitions.map((one) => one.partition).join();

  const client = async (strings: TemplateStringsArray, ...values: unknown[]) => {
    if (isAway) throw new Error("away");
    if (isSilent) await new Promise(() => {});
    if (/parked_heads|outrider.(readers|breakers|workers)/.test(strings.join(""))) return [];
    if (!strings.join("").includes("insert")) {
      return [...stored].map(([partition, next]) => ({
        ...{ topic: "counted", partition, next, ...identity, leaderEpoch: null },
        haltReason: halts.get(partition) ?? null,
      }));
    }
    writers.add(values[0]);
    const [partitions, offsets] = values.slice(2) as [number[], number[]];
    for (const [at, partition] of partitions.entries()) {
      stored.set(partition, Math.max(stored.get(partition) ?? 0, offsets[at] ?? 0));
    }
    steps.push(`wrote ${partitions.join()}`);
    return partitions.map((partition) => ({ topic: "counted", partition }));
  };
  // Nothing is ever parked.
  const sql = Object.assign(client, { begin: async () => [] }) as unknown as Sql;

  const note = (_: object, message: string) => void warnings.push(message);
  const log: Log = { child: () => log, debug: () => {}, info: () => {}, warn: note, error: note };

  const deps: InboxDeps = {
    sql,
    log,
    random: () => 0,
    writeRecord: async () => {},
    isolation: { run: async () => ({ kind: "gone" }), stop: async () => {} },
    transact: (work) => {
      const inbox = async (strings: TemplateStringsArray, ...values: unknown[]) => {
        if (strings.join("").includes("parked_heads")) return [];
        const ids = values.find((value) => Array.isArray(value)) as string[];
        return ids.map((id) => ({ event_id: id }));
      };
      return work({ _: { session: { client: inbox } } } as unknown as Transaction, () => {});
    },
    readLogs: async (asked) => asked.flatMap(({ partition }) => logs.get(partition) ?? []),
    subscribe: (group, topics, events) => {
      groups.push({ group, topics, events });
      return {
        pause: (partitions) => void steps.push(`pause ${names(partitions)}`),
        resume: (partitions) => void steps.push(`resume ${names(partitions)}`),
        commit: async (positions) => void committed.push(...positions),
        isHealthy: () => true,
        vitals: () => ({ callMs: 0, silenceMs: 0, partitions: [] }),
        rejoin: () => void steps.push("rejoin"),
        close: async () => void steps.push("close"),
      };
    },
  };
  const eventsOf = (group: string): SubscriberEvents => {
    const found = groups.find((one) => one.group === group);
    if (!found) throw new Error(`no group ${group}`);
    const onAssign = (offered: readonly AssignedPartition[]) => {
      for (const one of offered) logs.set(one.partition, { ...one, ...identity, epochEnd: null });
      return found.events.onAssign(offered);
    };
    return { ...found.events, onAssign };
  };
  const setAway = (away: boolean) => (isAway = away);
  const fallSilent = () => (isSilent = true);
  return {
    deps,
    groups,
    eventsOf,
    logs,
    halts,
    writers,
    stored,
    steps,
    committed,
    warnings,
    setAway,
    fallSilent,
  };
};

const at = (partition: number, low: number, high: number): AssignedPartition => ({
  topic: "counted",
  partition,
  low,
  high,
});

/** A handler that waits for its gate, when it has one. */
const handlerOf = (name: string, more: { group?: string; batchSizeMax?: number } = {}) => {
  const seen: number[] = [];
  const gate = { open: Promise.resolve() };
  const handler: Handler = defineBatchHandler({
    name,
    on: [counted],
    ...more,
    run: async (events) => {
      await gate.open;
      seen.push(...events.map((event) => event.data.n));
    },
  });
  return { handler, seen, gate };
};

const settled = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await Bun.sleep(0);
};

const settings: InboxSettings = { group: "app", watermarkMs: 1, logLookMs: 1, drainMs: 1000 };

describe("an inbox", () => {
  test("refuses two handlers of one name: they would skip each other's events", () => {
    const two = [handlerOf("test.a").handler, handlerOf("test.a").handler];
    expect(() => startInbox(two, createWorld().deps, settings)).toThrow(RangeError);
  });

  test("joins one group per group name, with the topics of its handlers", async () => {
    const world = createWorld();
    const handlers = [
      handlerOf("test.a").handler,
      handlerOf("test.b").handler,
      handlerOf("test.slow", { group: "slow" }).handler,
    ];
    const inbox = startInbox(handlers, world.deps, settings);
    expect(world.groups.map(({ group, topics }) => [group, topics])).toEqual([
      ["app", ["counted"]],
      ["slow", ["counted"]],
    ]);
    expect(inbox.state().map((one) => one.group)).toEqual(["app", "slow"]);
    await inbox.stop();
    expect(world.steps).toEqual(["close", "close"]);
  });
});

describe("an assigned partition", () => {
  test("starts at its watermark, and at the beginning where it has none", async () => {
    const world = createWorld({ 0: 7 });
    const inbox = startInbox([handlerOf("test.a").handler], world.deps, settings);
    expect(await world.eventsOf("app").onAssign([at(0, 0, 9), at(1, 3, 9)])).toEqual([
      { topic: "counted", partition: 0, offset: 7 },
      { topic: "counted", partition: 1, offset: 3 },
    ]);
    expect(inbox.state()[0]).toMatchObject({ partitions: 2, unresolved: 0, isConnected: true });
    await inbox.stop();
  });

  test("says how much was deleted before it was read, and goes on with the rest", async () => {
    const world = createWorld({ 0: 2 });
    const gaps: unknown[] = [];
    const deps = { ...world.deps, onGap: (...gap: unknown[]) => gaps.push(gap) };
    const inbox = startInbox([handlerOf("test.a").handler], deps, settings);
    const [start] = await world.eventsOf("app").onAssign([at(0, 5, 9)]);
    expect(start?.offset).toBe(5);
    expect(gaps).toEqual([[{ topic: "counted", partition: 0 }, 3]]);
    expect(world.warnings.length).toBe(1);
    await inbox.stop();
  });

  test("whose watermark is beyond its log is not read, and its watermark stays", async () => {
    const world = createWorld({ 0: 50 });
    const one = handlerOf("test.a");
    const inbox = startInbox([one.handler], world.deps, settings);
    const events = world.eventsOf("app");
    expect((await events.onAssign([at(0, 0, 9)]))[0]?.offset).toBe(9);
    events.onRecords([recordAt(9)]);
    expect(inbox.state()[0]?.halted).toMatchObject([{ topic: "counted", partition: 0 }]);
    expect(world.steps).toContain("pause 0");
    await events.onRevoke([at(0, 0, 9)], false);
    await inbox.stop();
    expect([one.seen, world.stored.get(0)]).toEqual([[], 50]);
  });

  test("that is halted says why, and is begun anew when an operator has decided", async () => {
    const world = createWorld({ 0: 4 });
    world.halts.set(0, "the topic has been made anew");
    const inbox = startInbox([handlerOf("test.a").handler], world.deps, settings);
    await world.eventsOf("app").onAssign([at(0, 0, 9)]);
    expect(inbox.state()[0]?.halted).toEqual([
      { topic: "counted", partition: 0, reason: "the topic has been made anew" },
    ]);
    expect(world.steps).not.toContain("rejoin");
    world.halts.clear();
    await settled(() => world.steps.includes("rejoin"));
    await inbox.stop();
  });

  test("waits for the brokers to say which log it is", async () => {
    const world = createWorld({ 0: 4 });
    let isAway = true;
    const readLogs: ReadLogs = async (asked) => {
      if (isAway) throw new Error("away");
      return world.deps.readLogs(asked);
    };
    const inbox = startInbox([handlerOf("test.a").handler], { ...world.deps, readLogs }, settings);
    let starts: readonly Position[] | undefined;
    const assigning = world.eventsOf("app").onAssign([at(0, 0, 9)]);
    void assigning.then((found) => (starts = found));
    await settled(() => world.warnings.length > 1);
    expect(starts).toBeUndefined();
    isAway = false;
    expect((await assigning)[0]?.offset).toBe(4);
    await inbox.stop();
  });

  test("of a topic that is gone is given up, for the group to offer what there is", async () => {
    const world = createWorld();
    const readLogs = async () => {
      throw fault("topic_unknown", "gone");
    };
    const inbox = startInbox([handlerOf("test.a").handler], { ...world.deps, readLogs }, settings);
    const failure = world
      .eventsOf("app")
      .onAssign([at(0, 0, 9)])
      .catch((error: unknown) => error);
    expect(isFault(await failure, "topic_unknown")).toBe(true);
    await inbox.stop();
  });

  test("waits for Postgres to say where it stands", async () => {
    const world = createWorld({ 0: 4 });
    world.setAway(true);
    const inbox = startInbox([handlerOf("test.a").handler], world.deps, settings);
    const starts = world.eventsOf("app").onAssign([at(0, 0, 9)]);
    await settled(() => world.warnings.length > 1);
    world.setAway(false);
    expect((await starts)[0]?.offset).toBe(4);
    await inbox.stop();
  });

  test("that waits for Postgres does not hold up the end", async () => {
    const world = createWorld();
    world.setAway(true);
    const inbox = startInbox([handlerOf("test.a").handler], world.deps, settings);
    const starts = world.eventsOf("app").onAssign([at(0, 0, 9)]);
    const failure = starts.catch((error: unknown) => error);
    await settled(() => world.warnings.length > 1);
    await inbox.stop();
    expect(await failure).toBeInstanceOf(Error);
  });
});

describe("what is admitted", () => {
  test("is bounded; twice as much besides pauses the client, half of it resumes", async () => {
    const world = createWorld();
    const one = handlerOf("test.a", { batchSizeMax: 1 });
    const gates = Array.from({ length: 10 }, () => Promise.withResolvers<void>());
    let runs = 0;
    const stepped: Handler = {
      ...one.handler,
      run: async (...given) => {
        await gates[runs++]?.promise;
        await one.handler.run(...given);
      },
    };
    const inbox = startInbox([stepped], world.deps, { ...settings, admittedMax: 2 });
    const events = world.eventsOf("app");
    await events.onAssign([at(0, 0, 10)]);
    events.onRecords([0, 1, 2, 3, 4].map((offset) => recordAt(offset)));
    expect(inbox.state()[0]?.unresolved).toBe(2);
    expect(world.steps).not.toContain("pause 0");
    events.onRecords([recordAt(5)]);
    expect(world.steps).toContain("pause 0");
    gates[0]?.resolve();
    await settled(() => runs === 2);
    expect(inbox.state()[0]?.unresolved).toBe(2);
    expect(world.steps).not.toContain("resume 0");
    gates[1]?.resolve();
    await settled(() => world.steps.includes("resume 0"));
    expect(inbox.state()[0]?.unresolved).toBe(2);
    for (const gate of gates) gate.resolve();
    await settled(() => one.seen.length === 6);
    expect(one.seen).toEqual([0, 1, 2, 3, 4, 5]);
    await inbox.stop();
  });

  test("moves the watermark, then the group's offset in Kafka", async () => {
    const world = createWorld();
    const one = handlerOf("test.a");
    const inbox = startInbox([one.handler], world.deps, settings);
    const events = world.eventsOf("app");
    await events.onAssign([at(0, 0, 10), at(1, 0, 10)]);
    events.onRecords([recordAt(0), recordAt(1), recordAt(0, 1)]);
    await settled(() => world.committed.length >= 2);
    expect([world.stored.get(0), world.stored.get(1)]).toEqual([2, 1]);
    expect(world.committed).toContainEqual({ topic: "counted", partition: 0, offset: 2 });
    const writes = world.steps.length;
    await Bun.sleep(10);
    // Nothing has moved, so nothing is written.
    expect(world.steps.length).toBe(writes);
    await inbox.stop();
  });

  test("moves the watermark of its own group, which may not be the app's", async () => {
    const world = createWorld();
    const one = handlerOf("test.slow", { group: "slow" });
    const inbox = startInbox([one.handler], world.deps, settings);
    const events = world.eventsOf("slow");
    await events.onAssign([at(0, 0, 10)]);
    events.onRecords([recordAt(0)]);
    await settled(() => world.stored.get(0) === 1);
    expect([...world.writers]).toEqual(["slow"]);
    await inbox.stop();
  });

  test("is no watermark once there is another log; it is asked anew where to begin", async () => {
    const world = createWorld();
    const one = handlerOf("test.a");
    const inbox = startInbox([one.handler], world.deps, settings);
    const events = world.eventsOf("app");
    await events.onAssign([at(0, 0, 10)]);
    const anew = { ...identity, topicId: "another", epochEnd: null };
    world.logs.set(0, { ...at(0, 0, 99), ...anew });
    events.onRecords([recordAt(0), recordAt(1)]);
    await settled(() => world.steps.includes("rejoin"));
    await events.onRevoke([at(0, 0, 10)], false);
    expect([one.seen, world.stored.has(0), world.committed]).toEqual([[0, 1], false, []]);
    await inbox.stop();
  });

  test("is no watermark beyond what an unclean election has left of the log", async () => {
    const world = createWorld();
    const one = handlerOf("test.a");
    const inbox = startInbox([one.handler], world.deps, settings);
    const events = world.eventsOf("app");
    await events.onAssign([at(0, 0, 10)]);
    world.logs.set(0, { ...at(0, 0, 99), ...identity, epochEnd: 1 });
    events.onRecords([recordAt(0), recordAt(1)]);
    await settled(() => world.steps.includes("rejoin"));
    expect(world.stored.has(0)).toBe(false);
    await inbox.stop();
  });

  test("that cannot be written as a watermark is written later", async () => {
    const world = createWorld();
    const inbox = startInbox([handlerOf("test.a").handler], world.deps, settings);
    const events = world.eventsOf("app");
    await events.onAssign([at(0, 0, 10)]);
    world.setAway(true);
    events.onRecords([recordAt(0)]);
    await settled(() => world.warnings.includes("watermarks could not be written"));
    expect(world.committed).toEqual([]);
    world.setAway(false);
    await settled(() => world.stored.get(0) === 1);
    await inbox.stop();
  });
});

describe("a revoked partition", () => {
  test("is drained and its watermark written before it is given back", async () => {
    const world = createWorld();
    const one = handlerOf("test.a");
    const gate = Promise.withResolvers<void>();
    one.gate.open = gate.promise;
    const inbox = startInbox([one.handler], world.deps, { ...settings, watermarkMs: 60_000 });
    const events = world.eventsOf("app");
    await events.onAssign([at(0, 0, 10), at(1, 0, 10)]);
    events.onRecords([recordAt(0), recordAt(1), recordAt(2)]);
    await Bun.sleep(1);
    let isBack = false;
    const revoked = events.onRevoke([at(0, 0, 10)], false).then(() => (isBack = true));
    // These are somebody else's now.
    events.onRecords([recordAt(3)]);
    await Bun.sleep(1);
    expect([isBack, inbox.state()[0]?.partitions]).toEqual([false, 1]);
    gate.resolve();
    await revoked;
    expect(one.seen).toEqual([0, 1, 2]);
    expect(world.stored.get(0)).toBe(3);
    expect(world.committed).toEqual([{ topic: "counted", partition: 0, offset: 3 }]);
    await inbox.stop();
  });

  test("that comes back starts where it stopped", async () => {
    const world = createWorld();
    const one = handlerOf("test.a");
    const inbox = startInbox([one.handler], world.deps, settings);
    const events = world.eventsOf("app");
    await events.onAssign([at(0, 0, 10)]);
    events.onRecords([recordAt(0), recordAt(1)]);
    await settled(() => one.seen.length === 2);
    await events.onRevoke([at(0, 0, 10)], false);
    expect((await events.onAssign([at(0, 0, 10)]))[0]?.offset).toBe(2);
    await inbox.stop();
  });

  test("that nobody has here is no matter", async () => {
    const world = createWorld();
    const inbox = startInbox([handlerOf("test.a").handler], world.deps, settings);
    await world.eventsOf("app").onRevoke([at(5, 0, 1)], true);
    world.eventsOf("app").onRecords([recordAt(0, 5)]);
    world.eventsOf("app").onError(new Error("trouble"));
    expect(world.warnings.length).toBe(1);
    await inbox.stop();
  });
});

test("a stop ends in time, though the database does not answer", async () => {
  const world = createWorld();
  const inbox = startInbox([handlerOf("test.a").handler], world.deps, {
    ...settings,
    ...{ stopMaxMs: 50, breakerPollMs: 1 },
  });
  world.fallSilent();
  await Bun.sleep(10);
  await inbox.stop();
  expect(world.warnings).toEqual([expect.stringMatching(/^not all could be given back in time/)]);
});
