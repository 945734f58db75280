import { afterEach, describe, expect, test } from "bun:test";
import { defineEvent } from "@outrider/event";
import type { Emit, KafkaRecord, Log } from "@outrider/event";
import type { Transaction } from "@outrider/postgres";
import * as v from "valibot";
import { createDelivery } from "./delivery.ts";
import type { Delivery } from "./delivery.ts";
import { defineBatchHandler } from "./handler.ts";
import { startLane } from "./lane.ts";
import type { Failure, Lane, LaneBreakers, LaneDeps, LaneWork } from "./lane.ts";
import { queueKeyName, runInTime } from "./run-batch.ts";
import type { Run } from "./run-batch.ts";

const eventOf = (type: string) =>
  defineEvent({
    type,
    version: 1,
    source: "test",
    category: "domain",
    topic: "counted",
    data: v.object({ n: v.number() }),
    key: () => "k",
  });
const counted = eventOf("test.counted");

const attempts = { begin: async () => 1, end: async () => {} };

const breakers: LaneBreakers = {
  isOpen: () => false,
  admit: async () => "all",
  yield: async () => {},
  succeeded: async () => {},
  failed: async () => {},
};

const idOf = (n: number) => `0192f0c1-7a3e-7b54-9c55-${String(n).padStart(12, "0")}`;

const deliveryOf = (n: number, type = "test.counted", key = "k"): Delivery => {
  const headers = { ce_id: idOf(n), ce_type: type, ce_source: "test" };
  const record: KafkaRecord = {
    topic: "counted",
    partition: 2,
    offset: n,
    timestampMs: 0,
    key: Buffer.from(key),
    value: Buffer.from(JSON.stringify({ n })),
    headers: Object.entries(headers).map(([name, text]) => ({ [name]: Buffer.from(text) })),
  };
  return createDelivery(record);
};

/** Stands for Postgres: what is recorded stays when the run succeeds. */
const createWork = (parkedKeys = new Set<string>()) => {
  const handled = new Set<string>();
  const putAway: [n: number, error: unknown][] = [];
  const joined: number[][] = [];
  const unrun: number[][] = [];
  const unit = { tx: {} as Transaction, emit: (() => {}) as Emit };
  const work = async (run: Run): Promise<number> => {
    const fresh = run.deliveries.filter((one) => !handled.has(one.eventId));
    const events = fresh.map((one) => one.eventFor(run.handler));
    if (events.length > 0) await runInTime({ ...run, attempts }, events, unit);
    for (const { eventId } of fresh) handled.add(eventId);
    return events.length;
  };
  const isParked = (run: Run) => (one: Delivery) => parkedKeys.has(queueKeyName(run.handler, one));
  const laneWork: LaneWork = {
    batch: async (run) => {
      const parked = run.deliveries.filter(isParked(run));
      if (parked.length === 0) return { handled: await work(run) };
      return { parked: new Set(parked.map((one) => queueKeyName(run.handler, one))) };
    },
    unit: async (run) => {
      if (!run.deliveries.some(isParked(run))) return work(run);
      joined.push(run.deliveries.map((one) => one.record.offset));
      return 0;
    },
    noteTry: async () => {},
    putAway: async (_handler, delivery, error) => {
      putAway.push([delivery.record.offset, error]);
      handled.add(delivery.eventId);
    },
    parkUnrun: async (_handler, deliveries) => {
      unrun.push(deliveries.map((one) => one.record.offset));
      return deliveries.filter((one) => !handled.has(one.eventId)).length;
    },
  };
  return { work: laneWork, putAway, joined, unrun };
};

const log: Log = {
  child: () => log,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};

const lanes: { lane: Lane; draining: AbortController }[] = [];

afterEach(async () => {
  for (const { draining } of lanes) draining.abort();
  await Promise.all(lanes.splice(0).map(({ lane }) => lane.ended));
});

type SetUp = Readonly<{
  deliveries: readonly Delivery[];
  run(numbers: readonly number[], attempt: number): unknown;
  batchSizeMax?: number;
  concurrency?: number;
  deps?: Partial<LaneDeps>;
  parkedKeys?: Set<string>;
}>;

/** A lane that is fed these deliveries and then no more. */
const setUp = ({ deliveries, run, deps = {}, parkedKeys, ...limits }: SetUp) => {
  const draining = new AbortController();
  const stopping = new AbortController();
  const handler = defineBatchHandler({
    name: "test.handler",
    on: [counted],
    batchSizeMax: 8,
    ...limits,
    run: async (events, { attempt }) => {
      await run(
        events.map((event) => event.data.n),
        attempt,
      );
    },
  });
  const taken: number[] = [];
  const work = createWork(parkedKeys);
  const progress = { resolved: 0 };
  const done = Promise.withResolvers<void>();
  const lane = startLane(
    {
      take: async (max, after = 0) => {
        taken.push(max);
        const from = progress.resolved + after;
        const next = deliveries.slice(from, from + max);
        if (next.length > 0 && !draining.signal.aborted) return next;
        done.resolve();
        return [];
      },
      resolve: (count) => {
        progress.resolved += count;
      },
    },
    handler,
    {
      work: work.work,
      breakers,
      isAlone: true,
      log,
      retry: { baseMs: 1, capMs: 1 },
      random: () => 0,
      draining: draining.signal,
      stopping: stopping.signal,
      ...deps,
    },
  );
  lanes.push({ lane, draining });
  return { ...work, lane, taken, progress, draining, stopping, done: done.promise };
};

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

describe("a lane", () => {
  test("takes batches in order, each when the one before is through", async () => {
    const seen: number[][] = [];
    const { done, taken, progress } = setUp({
      deliveries: upTo(10).map((n) => deliveryOf(n)),
      batchSizeMax: 4,
      run: (numbers) => seen.push([...numbers]),
    });
    await done;
    expect(seen).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
    expect(taken).toEqual([4, 4, 4, 4]);
    expect(progress.resolved).toBe(10);
  });

  test("runs keys side by side where its handler wants that, each in order", async () => {
    const [gate, begun] = [Promise.withResolvers<void>(), [] as number[]];
    const keys = ["a", "b", "a", "b", "c", "a"];
    const { lane, taken, progress } = setUp({
      deliveries: keys.map((key, n) => deliveryOf(n, undefined, key)),
      ...{ batchSizeMax: 1, concurrency: 3 },
      run: async ([n = -1]) => {
        begun.push(n);
        if (n === 0) await gate.promise;
      },
    });
    await Bun.sleep(5);
    expect([begun.toSorted(), progress.resolved]).toEqual([[0, 1, 3, 4], 0]);
    gate.resolve();
    await lane.ended;
    expect(begun.filter((n) => keys[n] === "a")).toEqual([0, 2, 5]);
    expect([begun.length, progress.resolved, taken[0]]).toEqual([6, 6, 3]);
  });

  test("passes over what its handler did not ask for, and resolves it", async () => {
    const seen: number[] = [];
    const { done, progress } = setUp({
      deliveries: [deliveryOf(0, "other"), deliveryOf(1), deliveryOf(2, "other")],
      run: (numbers) => seen.push(...numbers),
    });
    await done;
    expect(seen).toEqual([1]);
    expect(progress.resolved).toBe(3);
  });

  test("says what it handled, and does not count what had been handled before", async () => {
    const handled: unknown[] = [];
    const { work } = createWork();
    const one = { deliveries: [deliveryOf(1), deliveryOf(2)], run: () => {} };
    const deps = {
      work,
      onHandled: (handler: string, events: number, durationMs: number) => {
        expect(durationMs).toBeGreaterThanOrEqual(0);
        handled.push([handler, events]);
      },
    };
    await setUp({ ...one, deps }).done;
    await setUp({ ...one, deps }).done;
    expect(handled).toEqual([
      ["test.handler", 2],
      ["test.handler", 0],
    ]);
  });
});

describe("a batch that fails", () => {
  test("is run again one by one, in order, and counts as nobody's attempt", async () => {
    const runs: unknown[] = [];
    const { done } = setUp({
      deliveries: upTo(3).map((n) => deliveryOf(n)),
      run: (numbers, attempt) => {
        runs.push([...numbers, `attempt ${attempt}`]);
        if (numbers.length > 1) throw new Error("together no");
      },
    });
    await done;
    expect(runs).toEqual([
      [0, 1, 2, "attempt 1"],
      [0, "attempt 1"],
      [1, "attempt 1"],
      [2, "attempt 1"],
    ]);
  });

  test("halves the batches, which grow back with each that succeeds", async () => {
    let failing = 2;
    const { done, taken } = setUp({
      deliveries: upTo(40).map((n) => deliveryOf(n)),
      run: (numbers) => {
        if (numbers.length === 1 || failing === 0) return;
        failing -= 1;
        throw new Error("together no");
      },
    });
    await done;
    expect(taken.slice(0, 6)).toEqual([8, 4, 2, 4, 8, 8]);
  });

  test("however often: batches grow back from single events, too", async () => {
    let failing = 3;
    const { done, taken } = setUp({
      deliveries: upTo(80).map((n) => deliveryOf(n)),
      run: (numbers) => {
        if (numbers.length === 1 || failing === 0) return;
        failing -= 1;
        throw new Error("together no");
      },
    });
    await done;
    expect(taken.slice(0, 4)).toEqual([8, 4, 2, 1]);
    expect(taken.at(-1)).toBe(8);
  });
});

describe("an event that fails", () => {
  test("is put away, and those behind it run", async () => {
    const runs: number[] = [];
    const failures: Failure[] = [];
    const { done, lane, progress, putAway } = setUp({
      deliveries: [deliveryOf(0), deliveryOf(1), deliveryOf(2)],
      batchSizeMax: 1,
      run: ([n]) => {
        runs.push(n as number);
        if (n === 1) throw new Error("no");
      },
      deps: { onFailure: (failure) => failures.push(failure) },
    });
    await done;
    expect(runs).toEqual([0, 1, 2]);
    expect(putAway.map(([n, error]) => [n, String(error)])).toEqual([[1, "Error: no"]]);
    const at = { handler: "test.handler", topic: "counted", partition: 2, offset: 1, attempt: 1 };
    expect(failures).toMatchObject([at]);
    expect(lane.failure()).toBeUndefined();
    expect(progress.resolved).toBe(3);
  });

  test("that cannot be decoded is put away, too", async () => {
    const seen: number[] = [];
    const broken = deliveryOf(0);
    const unreadable = createDelivery({ ...broken.record, value: Buffer.from("no JSON") });
    const { done, putAway, progress } = setUp({
      deliveries: [unreadable, deliveryOf(1)],
      run: (numbers) => seen.push(...numbers),
    });
    await done;
    expect(putAway.map(([n, error]) => [n, (error as { code?: unknown }).code])).toEqual([
      [0, "undecodable"],
    ]);
    expect([seen, progress.resolved]).toEqual([[1], 2]);
  });

  test("since something else is away is tried three times before it is put away", async () => {
    let runs = 0;
    const { done, putAway } = setUp({
      deliveries: [deliveryOf(0)],
      run: () => {
        runs += 1;
        throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
      },
    });
    await done;
    expect([runs, putAway.length]).toEqual([3, 1]);
  });
});

describe("an outcome that cannot be stored", () => {
  const broken = createWork().work;
  const failing: LaneWork = {
    ...broken,
    putAway: async () => {
      throw new Error("Postgres is away");
    },
  };

  test("leaves the event to be tried in place, after pauses that grow", async () => {
    const times: number[] = [];
    const { done } = setUp({
      deliveries: [deliveryOf(0)],
      run: () => {
        times.push(performance.now());
        if (times.length < 4) throw new Error("no");
      },
      deps: {
        work: failing,
        retry: { baseMs: 10, capMs: 1000 },
        random: () => 1 - Number.EPSILON,
      },
    });
    await done;
    const pauses = times.slice(1).map((time, at) => time - (times[at] ?? 0));
    for (const [at, atLeast] of [10, 20, 40].entries()) {
      // A timer may be a fraction of a millisecond early.
      expect(pauses[at]).toBeGreaterThanOrEqual(atLeast - 1);
    }
  });

  test("is seen as failing while it waits, and ends with the drain, unresolved", async () => {
    const failed = Promise.withResolvers<void>();
    const { lane, progress, draining } = setUp({
      deliveries: [deliveryOf(0), deliveryOf(1)],
      batchSizeMax: 1,
      run: ([n]) => {
        if (n === 1) throw new Error("no");
      },
      deps: {
        work: failing,
        retry: { baseMs: 3_600_000, capMs: 3_600_000 },
        random: () => 0.9,
        onFailure: () => failed.resolve(),
      },
    });
    await failed.promise;
    await Promise.resolve();
    expect(lane.failure()).toMatchObject({ offset: 1, attempt: 1 });
    draining.abort();
    await lane.ended;
    expect(progress.resolved).toBe(1);
  });
});

test("what is behind a parked key joins it, key by key, and the rest runs together", async () => {
  const seen: number[][] = [];
  const { done, joined, progress } = setUp({
    deliveries: ["a", "b", "c", "b", "a"].map((key, n) => deliveryOf(n, "test.counted", key)),
    run: (numbers) => seen.push([...numbers]),
    parkedKeys: new Set([Buffer.from("b").toString("hex")]),
  });
  await done;
  expect(joined).toEqual([[1, 3]]);
  expect(seen).toEqual([[0, 2, 4]]);
  expect(progress.resolved).toBe(5);
});

test("a lane that drains starts nothing new, but finishes what it has begun", async () => {
  const gate = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const seen: number[] = [];
  const { lane, draining, progress } = setUp({
    deliveries: upTo(4).map((n) => deliveryOf(n)),
    batchSizeMax: 2,
    run: async (numbers) => {
      seen.push(...numbers);
      begun.resolve();
      await gate.promise;
    },
  });
  await begun.promise;
  draining.abort();
  gate.resolve();
  await lane.ended;
  expect(seen).toEqual([0, 1]);
  expect(progress.resolved).toBe(2);
});

test("a lane that has to stop ends a handler that does not, unresolved", async () => {
  const begun = Promise.withResolvers<void>();
  const { lane, draining, stopping, progress } = setUp({
    deliveries: [deliveryOf(0)],
    run: async () => {
      begun.resolve();
      await new Promise(() => {});
    },
  });
  await begun.promise;
  draining.abort();
  stopping.abort();
  await lane.ended;
  expect(progress.resolved).toBe(0);
});
