import { afterEach, describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { defineEvent } from "@outrider/event";
import type { KafkaRecord, Log } from "@outrider/event";
import * as v from "valibot";
import { createDelivery } from "./delivery.ts";
import type { Delivery } from "./delivery.ts";
import { defineBatchHandler } from "./handler.ts";
import { startLane } from "./lane.ts";
import type { Lane, LaneDeps, LaneWork } from "./lane.ts";
import type { Offsets } from "./trials.ts";

const counted = defineEvent({
  type: "test.counted",
  version: 1,
  source: "test",
  category: "domain",
  topic: "counted",
  data: v.object({ n: v.number() }),
  key: () => "k",
});

const deliveryOf = (n: number, key = `k${n}`): Delivery => {
  const id = `0192f0c1-7a3e-7b54-9c55-${String(n).padStart(12, "0")}`;
  const headers = { ce_id: id, ce_type: "test.counted", ce_source: "test" };
  const record: KafkaRecord = {
    ...{ topic: "counted", partition: 2, offset: n, timestampMs: 0 },
    key: Buffer.from(key),
    value: Buffer.from(JSON.stringify({ n })),
    headers: Object.entries(headers).map(([name, text]) => ({ [name]: Buffer.from(text) })),
  };
  return createDelivery(record);
};
const deliveriesOf = (count: number) => Array.from({ length: count }, (_, n) => deliveryOf(n));

const silent = () => {};
const log: Log = { child: () => log, debug: silent, info: silent, warn: silent, error: silent };
const breakers = {
  isOpen: () => false,
  admit: async () => "all" as const,
  yield: async () => {},
  succeeded: async () => {},
  failed: async () => {},
};

const lanes: { lane: Lane; draining: AbortController }[] = [];

afterEach(async () => {
  for (const { draining } of lanes) draining.abort();
  await Promise.all(lanes.splice(0).map(({ lane }) => lane.ended));
});

/** A lane in batches of eight over these deliveries, until all have an outcome. */
const run = async (
  deliveries: readonly Delivery[],
  { concurrency = 1, ...deps }: Partial<LaneDeps> & Readonly<{ concurrency?: number }>,
) => {
  const said = { seen: [] as number[], unrun: [] as number[][], sure: 0, resolved: 0 };
  const draining = new AbortController();
  const on = [counted] as const;
  const handler = defineBatchHandler({
    ...{ name: "test.handler", on, batchSizeMax: 8, concurrency },
    run: async () => {},
  });
  const work: LaneWork = {
    batch: async ({ deliveries: batch }) => {
      said.seen.push(
        ...batch.map((one) => one.eventFor(handler).data as { n: number }).map(({ n }) => n),
      );
      return { handled: batch.length };
    },
    unit: async ({ deliveries: unit }) => {
      said.seen.push(
        ...unit.map((one) => one.eventFor(handler).data as { n: number }).map(({ n }) => n),
      );
      return unit.length;
    },
    noteTry: async () => {},
    putAway: async () => {},
    parkUnrun: async (_handler, unrun) => {
      said.unrun.push(unrun.map((one) => one.record.offset));
      return unrun.length;
    },
  };
  const lane = startLane(
    {
      take: async (max, after = 0) => {
        const from = said.resolved + after;
        while (from >= deliveries.length && !draining.signal.aborted) await delay(1);
        return draining.signal.aborted ? [] : deliveries.slice(from, from + max);
      },
      resolve: (count) => void (said.resolved += count),
    },
    handler,
    {
      ...{ work, breakers, log, isAlone: true, random: () => 0 },
      retry: { baseMs: 1, capMs: 1 },
      ...{ draining: draining.signal, stopping: new AbortController().signal },
      onSure: () => void (said.sure += 1),
      ...deps,
    },
  );
  lanes.push({ lane, draining });
  while (said.resolved < deliveries.length) await delay(1);
  await delay(1);
  return said;
};

const assertNever = (what: string): never => {
  throw new Error(`it was ${what}`);
};

describe("after a reader that did not give the partition back", () => {
  const six = deliveriesOf(6);

  /** Stands for the table: `put` and `remove` with the offsets, in their order. */
  const createMarks = () => {
    const said: string[] = [];
    let failures = 0;
    return {
      said,
      failTimes: (count: number) => (failures = count),
      marks: {
        put: async (_handler: string, offsets: readonly number[]) => {
          if ((failures -= 1) >= 0) throw new Error("Postgres is away");
          said.push(`put ${offsets.join(",")}`);
        },
        remove: async (_handler: string, first: number) => void said.push(`remove ${first}`),
      },
    };
  };
  const fatal = (...offsets: number[]): Offsets => new Map([["test.handler", new Set(offsets)]]);

  test("each transaction is on record while it runs", async () => {
    const { said, marks } = createMarks();
    const suspected = { count: 100, before: 100, fatal: fatal(), marks };
    const { seen, sure, resolved } = await run(six, { suspected });
    expect([said, seen]).toEqual([
      ["put 0,1,2,3", "remove 0", "put 4,5", "remove 4"],
      [0, 1, 2, 3, 4, 5],
    ]);
    expect([sure, resolved]).toEqual([0, 6]);
  });

  test("what was on record is parked, and not even decoded here", async () => {
    const { said, marks } = createMarks();
    const broken = { ...six[2], eventFor: () => assertNever("decoded") } as Delivery;
    const deliveries = six.map((one, n) => (n === 2 ? broken : one));
    const suspected = { count: 100, before: 6, fatal: fatal(2, 4), marks };
    const { unrun, seen, sure } = await run(deliveries, { suspected });
    expect([unrun, seen, sure]).toEqual([[[2], [4]], [0, 1, 3, 5], 1]);
    expect(said).toEqual(["put 0,1,3", "remove 0", "put 5", "remove 5"]);
  });

  test("what comes before it in its key is parked with it, and so not overtaken", async () => {
    const { marks } = createMarks();
    const keys = ["a", "b", "a", "b", "a", "c"];
    const deliveries = keys.map((key, n) => deliveryOf(n, key));
    const suspected = { count: 100, before: 100, fatal: fatal(2), marks };
    const { unrun } = await run(deliveries, { suspected });
    expect(unrun[0]).toEqual([0, 2]);
  });

  test("what was written after its end is neither suspect nor on record", async () => {
    const { said, marks } = createMarks();
    const suspected = { count: 100, before: 2, fatal: fatal(), marks };
    const { seen, sure } = await run(six, { suspected });
    expect([said, sure]).toEqual([["put 0,1", "remove 0"], 1]);
    expect(seen).toHaveLength(6);
  });

  test("no more is suspect than can have been on its way, and what was on record", async () => {
    const { said, marks } = createMarks();
    const deliveries = deliveriesOf(30);
    const suspected = { count: 8, before: 100, fatal: fatal(20), marks };
    const { unrun, sure, resolved } = await run(deliveries, { suspected });
    // Batches of four events, where it is eight otherwise.
    expect(said).toEqual(["put 0,1,2,3", "remove 0", "put 4,5,6,7", "remove 4"]);
    expect([unrun, sure, resolved]).toEqual([[[20]], 1, 30]);
  });

  test("and nothing runs before it is on record or parked", async () => {
    const { said, failTimes, marks } = createMarks();
    failTimes(3);
    let failures = 0;
    const seen: number[] = [];
    const work: LaneWork = {
      batch: async ({ deliveries }) => {
        seen.push(...deliveries.map((one) => one.record.offset));
        return { handled: deliveries.length };
      },
      unit: async () => 0,
      noteTry: async () => {},
      putAway: async () => {},
      parkUnrun: async (_handler, deliveries, isSuspect) => {
        failures += 1;
        if (failures < 4) throw new Error("Postgres is away");
        expect([said, seen, deliveries.map((one) => isSuspect?.(one))]).toEqual([[], [], [true]]);
        return 1;
      },
    };
    const suspected = { count: 100, before: 100, fatal: fatal(0), marks };
    await run(six, { work, suspected });
    expect([failures, seen, said[0]]).toEqual([4, [1, 2, 3, 4, 5], "put 1,2,3"]);
  });

  test("several at a time are on record each by itself, once nothing else runs", async () => {
    const { said, marks } = createMarks();
    const deliveries = Array.from({ length: 6 }, (_, n) => deliveryOf(n, `k${n % 2}`));
    const suspected = { count: 100, before: 100, fatal: fatal(3), marks };
    const { unrun } = await run(deliveries, { suspected, concurrency: 2 });
    expect(unrun).toEqual([[1, 3, 5]]);
    expect(said.filter((one) => one.startsWith("put")).sort()).toEqual(["put 0,2,4", "put 1,5"]);
  });
});
