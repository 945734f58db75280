/**
 * The order in which transactions of the inbox take locks: new inbox rows sorted, heads sorted,
 * existing inbox rows, queue rows, letters, and no head while a handler runs. On real Postgres;
 * each test holds one transaction halfway and lets another one come from the other side.
 */

import { describe, expect, test } from "bun:test";
import type { KafkaRecord } from "@outrider/event";
import { defineHandler } from "@outrider/inbox";
import { sql as query } from "drizzle-orm";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { finish } from "../../packages/inbox/src/parking/outcome.ts";
import { releaseClaims, renewClaims } from "../../packages/inbox/src/parking/queue.ts";
import type { Claim } from "../../packages/inbox/src/parking/queue.ts";
import { startTiming } from "../../packages/inbox/src/parking/timing.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import {
  claimAll,
  claimOne,
  claimedNames,
  createActor,
  createGate,
  endsOrWaits,
  freshLooks,
  lockWaits,
  runClaimed,
  runOf,
} from "../support/actors.ts";
import type { Gate } from "../support/actors.ts";
import {
  boom,
  countOf,
  definition,
  deps,
  emptied,
  feed,
  name,
  recordsOf,
  resolved,
  sql,
  startRunning,
  states,
  useParkingScene,
} from "../support/parking-scene.ts";
import { seeingHandler, seen, useSeen } from "../support/seen.ts";
import { silentLog } from "../support/silent-log.ts";

useParkingScene();
useSeen();

const handler = seeingHandler(() => undefined);
const parkUnrun = (records: readonly KafkaRecord[], scene = deps()) =>
  createWork(scene).parkUnrun(
    handler,
    records.map((record) => createDelivery(record)),
  );
const runBatch = (records: readonly KafkaRecord[], of = handler) =>
  createWork(deps()).batch(runOf(of, records));
const runUnit = (records: readonly KafkaRecord[], of = handler) =>
  createWork(deps()).unit(runOf(of, records));
const statesOf = async (...running: Promise<unknown>[]): Promise<string[]> =>
  (await Promise.allSettled(running)).map((one) =>
    one.status === "fulfilled" ? "done" : String(one.reason),
  );

describe("a worker whose events are in the opposite order", () => {
  const [low, middle, high] = recordsOf("a1 b1 c1").toSorted((one, other) =>
    createDelivery(one).eventId < createDelivery(other).eventId ? -1 : 1,
  ) as [KafkaRecord, KafkaRecord, KafkaRecord];
  const second = { runs: runBatch, parks: parkUnrun } as const;
  for (const [what, act] of Object.entries(second)) {
    test(`${what} them without a deadlock`, async () => {
      const gate = createGate("the run of the middle one");
      const slow = seeingHandler(async () => void (await gate.pass()));
      const holding = runUnit([middle], slow);
      await gate.reached();
      // Both have inserted what comes before the middle one, and wait for it.
      const forward = runBatch([low, middle, high]);
      await lockWaits(1);
      const backward = act([high, middle, low]);
      await lockWaits(2);
      gate.open();
      expect(await statesOf(holding, forward, backward)).toEqual(["done", "done", "done"]);
      expect(await states()).toEqual({ handled: 3 });
    });
  }
});

describe("a worker that parks events of several keys meets", () => {
  /** Halfway: it has locked the head of `a`, and not yet that of `b`. */
  const parkHalfway = async (): Promise<Readonly<{ parking: Promise<unknown>; gate: Gate }>> => {
    const actor = createActor();
    const first = actor.stopBefore("parked_heads as h");
    const later = recordsOf("a2 b2").map((one) => ({ ...one, offset: one.offset + 10 }));
    const parking = parkUnrun(later, actor.scene);
    await first.reached();
    const gate = actor.stopBefore("parked_heads as h");
    first.open();
    await gate.reached();
    return { parking, gate };
  };

  /** What comes from the other side waits for `a`, and holds nothing that is waited for. */
  const meet = async (act: () => Promise<unknown>): Promise<void> => {
    const { parking, gate } = await parkHalfway();
    const coming = act();
    expect(await endsOrWaits(coming)).toBe("waits");
    gate.open();
    expect(await statesOf(parking, coming)).toEqual(["done", "done"]);
  };

  /** The head of `b` is the first of the table, also on its page, and of the claims. */
  const claimBackward = async (): Promise<[Claim, ...Claim[]]> => {
    for (const record of recordsOf("b1 a1")) await parkUnrun([record]);
    const claims = await claimAll();
    const sorted = claims.toSorted((one, other) => Number(one.head) - Number(other.head));
    expect(claimedNames(sorted)).toEqual(["b1", "a1"]);
    for (const { head } of sorted) {
      await sql`update outrider.parked_heads set handler = handler where id = ${head}`;
    }
    return sorted as [Claim, ...Claim[]];
  };

  test("another one, with the keys the other way round", async () => {
    await meet(() => parkUnrun(recordsOf("b3 a3")));
    expect([await countOf("parked"), await countOf("parked_heads")]).toEqual([4, 2]);
  });

  test("a runner that finishes these keys", async () => {
    const claims = await claimBackward();
    await meet(() => sql.begin((tx) => finish(tx, claims)));
    expect(await states()).toEqual({ handled: 2, parked: 2 });
  });

  test("a runner that keeps its claims on them", async () => {
    const claims = await claimBackward();
    await meet(() => renewClaims(sql, claims, 120_000));
    const [row] = await sql`
      select count(*)::int as renewed from outrider.parked_heads
      where claimed_until > clock_timestamp() + interval '90 s'`;
    expect(row?.renewed).toBe(2);
  });

  test("a runner that gives its claims on them back", async () => {
    const claims = await claimBackward();
    await meet(() => sql.begin((tx) => releaseClaims(tx, claims)));
    expect(claimedNames(await claimAll()).toSorted()).toEqual(["a1,a2", "b1,b2"]);
  });

  test("a runner that sees that these keys may be run", async () => {
    await claimBackward();
    await sql`update outrider.parked_heads set fresh = true, token = null, claimed_until = null`;
    const fresh = freshLooks();
    const gate = createGate("the run of c1");
    const slow = seeingHandler(async () => void (await gate.pass()));
    const earlier = runUnit(recordsOf("c1"), slow);
    await gate.reached();
    await fresh.look();
    gate.open();
    await earlier;
    await meet(() => fresh.look());
    expect(await sql`select from outrider.parked_heads where fresh`).toHaveLength(0);
  });

  test("timers that have fired too early for these keys", async () => {
    const heads = (await claimBackward()).map((claim) => claim.head);
    await sql`
      update outrider.parked_heads set due_at = clock_timestamp() + interval '1 hour',
        timer_at = null, token = null, claimed_until = null`;
    let fire: (head: string) => void = () => {};
    const [first, second] = [createGate("the timers"), createGate("the timers once more")];
    const failed = Promise.withResolvers<never>();
    const timing = startTiming("test", [name], {
      sql,
      log: { ...silentLog, debug: ({ err }: { err: unknown }) => failed.reject(err) },
      onDue: () => {},
      openTimers: (_queue, onDue) => {
        fire = onDue;
        const later = [first, second];
        return {
          set: async () => later.shift()?.pass(),
          isHealthy: () => true,
          check: async () => {},
          vitals: () => ({ callMs: 0, silenceMs: 0, partitions: [] }),
          close: async () => {},
        };
      },
    });
    await first.reached();
    first.open();
    await meet(() => {
      heads.forEach((head) => fire(head));
      return Promise.race([second.reached(), failed.promise]);
    });
    second.open();
    await timing.stop();
  });
});

test("an event that a late owner parks and a new one lets join is in the queue once", async () => {
  const [a1, a2] = recordsOf("a1 a2") as [KafkaRecord, KafkaRecord];
  await parkUnrun([a1]);
  const late = createActor();
  const gate = late.stopBefore("parked_heads as h");
  const parking = createWork(late.scene).putAway(handler, createDelivery(a2), boom);
  await gate.reached();
  const joining = runUnit([a2]);
  expect(await endsOrWaits(joining)).toBe("waits");
  gate.open();
  expect(await statesOf(parking, joining)).toEqual(["done", "done"]);
  expect([await countOf("parked"), await states()]).toEqual([2, { parked: 2 }]);
});

test("nobody waits for a handler that runs what is parked", async () => {
  const [a1, a2] = recordsOf("a1 a2") as [KafkaRecord, KafkaRecord];
  await parkUnrun([a1]);
  const claim = await claimOne();
  const gate = createGate("the run of a1");
  const running = runClaimed(
    claim,
    seeingHandler(async () => void (await gate.pass())),
  );
  await gate.reached();
  const others = { joins: () => runUnit([a2]), again: () => runUnit([a1]) };
  for (const act of Object.values(others)) expect(await endsOrWaits(act())).toBe("ends");
  gate.open();
  expect((await running).kind).toBe("handled");
  for (const next of await claimAll()) await runClaimed(next, handler);
  expect([await seen(), await states()]).toEqual(["a1 a2", { handled: 2 }]);
});

describe("handlers of two workers and two runners that wait for each other in a ring", () => {
  /** Its first two events lock one account each, in the order given; it waits between them. */
  const touching = (accounts: string[], gate: Gate) => {
    const chosen = new Map<string, string>();
    let isFirst = true;
    return defineHandler({
      name,
      on: [definition],
      retry: { attemptsMax: 1 },
      run: async ({ data: { key } }, { tx }) => {
        const account = chosen.get(key) ?? accounts.shift() ?? "none";
        chosen.set(key, account);
        await tx.execute(query`update accounts set sum = sum + 1 where name = ${account}`);
        if (isFirst) {
          isFirst = false;
          await gate.pass();
        }
      },
    });
  };

  test("are run again after the deadlock, and nothing is counted or done twice", async () => {
    await sql`create table accounts (name text primary key, sum int)`;
    await sql`insert into accounts values ('w', 0), ('x', 0), ('y', 0), ('z', 0)`;
    const gates = ["first", "second", "third", "fourth"].map((which) => createGate(which));
    const [first, second, third, fourth] = gates as [Gate, Gate, Gate, Gate];
    const limits = { parkedKeysMax: 1 };
    await parkUnrun(recordsOf("e1 f1"));
    startRunning(touching(["y", "z"], first), limits);
    await first.reached();
    await parkUnrun(recordsOf("g1 h1"));
    startRunning(touching(["z", "w"], second), limits);
    await second.reached();
    const workers = [
      feed(touching(["w", "x"], third), recordsOf("a1 b1")),
      feed(touching(["x", "y"], fourth), recordsOf("c1 d1")),
    ];
    await Promise.all([third.reached(), fourth.reached()]);
    for (const gate of gates) gate.open();
    await lockWaits(4);
    await Promise.all([...workers.map(resolved), emptied("parked_heads")]);
    expect(await states()).toEqual({ handled: 8 });
    expect(await countOf("dead_letters")).toBe(0);
    const sums = await sql`select name, sum from accounts order by name`;
    expect(sums.map((row) => row.sum)).toEqual([2, 2, 2, 2]);
  });
});
