/** What workers say of themselves and of their handlers, and what operators read of it. */

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { fault } from "@outrider/event";
import type { KafkaRecord, Subscribe } from "@outrider/event";
import { readHandlers, readWatermarks, readWorkers, startInbox } from "@outrider/inbox";
import type { Handler, Inbox, InboxSettings } from "@outrider/inbox";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { createGate, lockWaits } from "../support/actors.ts";
import { fixedLogs } from "../support/fixed-logs.ts";
import { inProcess } from "../support/in-process.ts";
import { sceneBehind } from "../support/intercept.ts";
import {
  boom,
  countOf,
  deps,
  handlerOf,
  name,
  recordsOf,
  sql,
  states,
  topic,
  useParkingScene,
} from "../support/parking-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

useParkingScene();
const started: Inbox[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((inbox) => inbox.stop()));
});
beforeEach(async () => {
  await sql`
    truncate outrider.readers, outrider.watermarks, outrider.breakers, outrider.handlers,
      outrider.workers`;
});

/** One partition, whose reader gets all records at once. */
const subscribeTo =
  (records: readonly KafkaRecord[]): Subscribe =>
  (_group, _topics, events) => {
    const at = { topic, partition: 0 };
    const assigning = events
      .onAssign([{ ...at, low: 0, high: records.length }])
      .then(() => events.onRecords(records));
    return {
      pause: () => {},
      resume: () => {},
      commit: async () => {},
      isHealthy: () => true,
      vitals: () => ({ callMs: 0, silenceMs: 0, partitions: [] }),
      rejoin: () => {},
      close: async () => {
        await assigning.catch(() => {});
        await events.onRevoke([at], false);
      },
    };
  };

const start = (
  handlers: readonly Handler[],
  {
    records = [],
    scene = deps(),
    ...settings
  }: Partial<InboxSettings & { records: KafkaRecord[]; scene: ReturnType<typeof deps> }> = {},
): Inbox => {
  const inbox = startInbox(
    handlers,
    {
      ...{ ...scene, isolation: inProcess(scene) },
      ...{ subscribe: subscribeTo(records), readLogs: fixedLogs(records.length) },
    },
    {
      ...{ group: "test", name: "host 1", beatMs: 200, watermarkMs: 10, drainMs: 100 },
      ...{ parkedPollMs: 5, retry: { baseMs: 1, capMs: 5 } },
      ...settings,
    },
  );
  started.push(inbox);
  return inbox;
};
const known = async () => (await readHandlers(sql)).find((one) => one.name === name);
const entered = () => until(known, { what: "the handler" });
const calm = () => handlerOf(() => undefined);

describe("a worker", () => {
  test("enters itself and what it runs, and takes its leave", async () => {
    const handler = handlerOf(() => undefined, { ordering: "none", retry: { attemptsMax: 7 } });
    const inbox = start([handler, { ...calm(), name: "test.other", group: "slow" }]);
    const said = await entered();
    expect(said).toMatchObject({
      ...{ group: "test", topics: [topic], ordering: "none", effects: "transactional" },
      ...{ onBury: "skip", attemptsMax: 7, workers: 1, breaker: null, openLetters: 0 },
    });
    expect(Date.now() - Number(said?.seenAt)).toBeWithin(-1000, 10_000);
    expect((await readHandlers(sql)).map((one) => [one.name, one.group])).toEqual([
      [name, "test"],
      ["test.other", "slow"],
    ]);
    const [worker, ...others] = await readWorkers(sql);
    expect([worker?.name, worker?.isAlive, others]).toEqual(["host 1", true, []]);
    expect(worker?.handlers.map((one) => one.name).toSorted()).toEqual([name, "test.other"]);
    const [row] = await sql`
      select extract(epoch from deadline - clock_timestamp()) * 1000 as ms from outrider.workers`;
    expect(Number(row?.ms)).toBeWithin(0, 601);
    await inbox.stop();
    expect([await readWorkers(sql), (await known())?.workers]).toEqual([[], 0]);
  });

  test("counts what it handles and what fails, of parked keys, too", async () => {
    const handler = handlerOf(
      ({ data }, attempt) => {
        if (data.key === "c") return fault("invalid", "never");
        return data.key === "a" && data.n === 1 && attempt < 4 && boom;
      },
      { onBury: "skip" },
    );
    start([handler], { records: recordsOf("a1 b1 a2 c1 b2") });
    const isOver = async () =>
      (await countOf("inbox")) === 5 && !(await states()).parked && (await known())?.handled === 4;
    await until(isOver, { what: "an outcome of all", pollMs: 5 });
    // Three of a1, and one of c1.
    expect(await known()).toMatchObject({ handled: 4, failed: 4, openLetters: 1, workers: 1 });
    const isIdle = async () => (await known())?.ratePerS === 0;
    await until(isIdle, { what: "an idle worker", pollMs: 5 });
    expect((await readWorkers(sql))[0]?.handlers).toEqual([
      { name, handled: 4, failed: 4, ratePerS: 0 },
    ]);
  });

  test("does not count runs of several as failures, nor what was not run", async () => {
    let runs = 0;
    const handler = handlerOf(({ data }) => data.n === 2 && (runs += 1) === 1 && boom);
    const deliveries = recordsOf("a1 a2 a3").map((one) => createDelivery(one));
    await createWork(deps()).parkUnrun(handler, deliveries);
    start([handler]);
    const isOver = async () => (await known())?.handled === 3;
    await until(isOver, { what: "an outcome of all", pollMs: 5 });
    expect((await known())?.failed).toBe(0);
  });

  test("starts and handles while it cannot say so, and enters itself later", async () => {
    let isAway = true;
    const scene = sceneBehind({
      before: async (step) => {
        if (isAway && step.includes("outrider.workers")) throw new Error("away");
      },
    });
    start([calm()], { records: recordsOf("a1 b1"), scene });
    await until(async () => (await states()).handled === 2, { what: "both", pollMs: 5 });
    expect([await readWorkers(sql), await readHandlers(sql)]).toEqual([[], []]);
    isAway = false;
    expect((await entered())?.handled).toBe(2);
  });

  test("stops in time, though its leave is not answered", async () => {
    let isSilent = false;
    const scene = sceneBehind({
      before: async (step) => {
        if (isSilent && step.includes("outrider.workers")) await new Promise(() => {});
      },
    });
    const inbox = start([calm()], { scene, stopMaxMs: 100 });
    await entered();
    isSilent = true;
    await inbox.stop();
    expect(await readWorkers(sql)).toHaveLength(1);
  });

  test("forgets others an hour after their end; they do not count before", async () => {
    await sql`
      insert into outrider.workers (instance, name, started_at, deadline, stats)
      select gen_random_uuid(), 'ended ' || minutes, now() - interval '1 day',
        now() - minutes * interval '1 minute',
        jsonb_build_object(${name}::text, '{"handled": 9, "failed": 9, "ratePerS": 9}'::jsonb)
      from unnest('{59,61,90}'::int[]) minutes`;
    start([calm()]);
    await entered();
    expect((await readWorkers(sql)).map((one) => [one.name, one.isAlive])).toEqual([
      ["ended 59", false],
      ["host 1", true],
    ]);
    expect(await known()).toMatchObject({ workers: 1, handled: 0, failed: 0, ratePerS: 0 });
  });

  test("changes what was said of its handler at once, and repeats it every minute", async () => {
    start([calm()]);
    const first = await entered();
    const beats = async () => (await sql`select deadline from outrider.workers`)[0]?.deadline;
    const before = await beats();
    await until(async () => (await beats()) > before, { what: "a beat", pollMs: 5 });
    expect((await known())?.seenAt).toEqual(first.seenAt);
    const change = (seconds: number, attemptsMax: number) => sql`
      update outrider.handlers
      set seen_at = seen_at - ${seconds} * interval '1 second', attempts_max = ${attemptsMax}`;
    const isSaidAnew = async () => {
      const now = await known();
      return now?.attemptsMax === 5 && Number(now.seenAt) >= Number(first.seenAt);
    };
    await change(0, 99);
    await until(isSaidAnew, { what: "the handler's own number", pollMs: 5 });
    await change(61, 5);
    await until(isSaidAnew, { what: "a handler that was seen", pollMs: 5 });
  });

  const createTold = () => {
    const told: string[] = [];
    const log = { ...silentLog, debug: (_: object, text: string) => void told.push(text) };
    return { told, scene: { ...deps(), log } };
  };
  /** Somebody is about to enter the handler, until the gate is open. */
  const holdName = async (held: string) => {
    const gate = createGate("the handler that is held");
    const holding = sql.begin(async (tx) => {
      await tx`
        insert into outrider.handlers
          (name, "group", queue, topics, ordering, effects, on_bury, attempts_max)
        values (${held}, 'test', 'test', '{}', 'key', 'transactional', 'hold', 1)`;
      await gate.pass();
    });
    await gate.reached();
    return async () => {
      gate.open();
      await holding;
    };
  };

  test("of several, whose handlers are the same in another order, waits for no other", async () => {
    const handlers = ["a", "b", "c"].map((one) => ({ ...calm(), name: `test.${one}` }));
    const { told, scene } = createTold();
    const release = await holdName("test.b");
    // Both have said what comes before the middle one, and wait for it.
    start(handlers, { name: "host 1", scene });
    await lockWaits(1);
    start(handlers.toReversed(), { name: "host 2", scene });
    await lockWaits(2);
    await release();
    const areThere = async () => {
      const all = await readHandlers(sql);
      return all.length === 3 && all.every((one) => one.workers === 2 && one.attemptsMax === 5);
    };
    await until(areThere, { what: "all handlers of both", pollMs: 5 });
    expect(told).toEqual([]);
  });

  test("that has to wait does not for long, and tries again; events do not wait", async () => {
    const { told, scene } = createTold();
    const release = await holdName(name);
    start([calm()], { records: recordsOf("a1 b1"), scene });
    await until(async () => (await states()).handled === 2, { what: "both", pollMs: 5 });
    await until(() => told.length > 0, { what: "a beat that is given up" });
    expect(told[0]).toBe("the worker could not say that it is alive");
    await release();
    await until(async () => (await known())?.handled === 2, { what: "what it has counted" });
  });
});

test("a handler of which nobody has said anything is known by what is left of it", async () => {
  await createWork(deps()).putAway(calm(), createDelivery(recordsOf("a1")[0] as KafkaRecord), boom);
  await createWork(deps()).putAway(
    calm(),
    createDelivery(recordsOf("b1")[0] as KafkaRecord),
    fault("invalid", "never"),
  );
  await sql`update outrider.parked_heads set created_at = created_at - interval '1 hour'`;
  await sql`
    insert into outrider.breakers (handler, open_until, opened, code, message)
    values ('test.held', 'infinity', 3, 'ECONNREFUSED', 'refused')`;
  const nothing = {
    ...{ group: null, topics: [], ordering: null, effects: null, onBury: null },
    ...{ attemptsMax: null, seenAt: null, workers: 0, ratePerS: 0, handled: 0, failed: 0 },
  };
  const [parked, held] = await readHandlers(sql);
  expect(parked).toEqual({
    ...{ name, ...nothing, breaker: null, parkedKeys: 2, heldKeys: 1, parkedEvents: 2 },
    ...{ openLetters: 1, oldestParkedAgeMs: expect.any(Number) },
    failing: [{ code: "Error", events: 1, runsMax: 1 }],
  });
  expect(parked?.oldestParkedAgeMs).toBeWithin(3_600_000, 3_660_000);
  expect(held).toMatchObject({
    ...{ name: "test.held", ...nothing, parkedKeys: 0, openLetters: 0 },
    breaker: { opened: 3, code: "ECONNREFUSED", message: "refused", openedAt: expect.any(Date) },
  });
});

test("a group's watermarks are those of the topics that are asked for", async () => {
  await sql`
    insert into outrider.watermarks ("group", topic, partition, next_offset)
    values ('g', 't', 1, 7), ('g', 't', 0, 5), ('g', 'u', 0, 1), ('h', 't', 0, 9)`;
  expect(await readWatermarks(sql, { group: "g", topics: ["t", "v"] })).toMatchObject([
    { topic: "t", partition: 0, next: 5 },
    { topic: "t", partition: 1, next: 7 },
  ]);
});

test("what is parked and given up is counted by indexes, whoever has none of it", async () => {
  await sql`
    insert into outrider.parked_heads (handler, topic, key, due_at)
    select 'busy', 't', convert_to(n::text, 'UTF8'), now() from generate_series(1, 20000) n`;
  await sql`
    insert into outrider.parked
      (head, handler, event_id, partition, "offset", timestamp_ms, headers, value)
    select id, handler, gen_random_uuid(), 0, 0, 0, '[]', sha256(key) from outrider.parked_heads`;
  await sql`
    insert into outrider.dead_letters
      (origin, handler, event_id, topic, key, headers, code, message, fingerprint, occurred_at)
    select 'handler', handler, event_id, 't', value, '[]', 'C', 'm', 'f', now()
    from outrider.parked`;
  await sql`analyze outrider.parked_heads, outrider.parked, outrider.dead_letters`;
  const plans: string[] = [];
  const explaining = sceneBehind({
    rewrite: (text) => text.replace(/^\s*select asked/, "explain select asked"),
  });
  const client = new Proxy(explaining.sql, {
    apply: async (target, self, args) => {
      const rows = await Reflect.apply(target, self, args);
      plans.push(...rows.map((row: Record<string, string>) => row["QUERY PLAN"] ?? ""));
      return rows;
    },
  });
  await readHandlers(client);
  expect(plans.filter((line) => /Index.* Scan/.test(line))).toHaveLength(3);
  expect(plans.filter((line) => line.includes("Seq Scan"))).toEqual([]);
});
