/**
 * Decisions about dead letters that meet runs of their keys, and each other. On real Postgres; who
 * comes first is not left to chance.
 */

import { describe, expect, test } from "bun:test";
import { fault, isFault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import type { Handler, Isolation } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import { discardLetter, redriveLetter } from "@outrider/redrive";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import {
  claimAll,
  claimOne,
  claimedNames,
  createActor,
  createGate,
  endsOrWaits,
  freshLooks,
  runClaimed,
  runOf,
} from "../support/actors.ts";
import { failureOf } from "../support/counted.ts";
import { inProcess } from "../support/in-process.ts";
import {
  countOf,
  deps,
  recordsOf,
  resolved,
  feed,
  sql,
  startRunning,
  states,
  useParkingScene,
} from "../support/parking-scene.ts";
import { overlapsOf, seeingHandler, seen, useSeen } from "../support/seen.ts";
import { until } from "../support/until.ts";

useParkingScene();
useSeen();

const who = { by: "ann", reason: "a test" };
const never = fault("invalid", "never");
const skipping = (act: Parameters<typeof seeingHandler>[0] = () => undefined): Handler =>
  seeingHandler(act, { onBury: "skip" });
const holding = (): Handler => seeingHandler(() => undefined);

/** Gives events up at their first delivery, as a worker does whose handler refuses them. */
const bury = async (handler: Handler, ...records: KafkaRecord[]): Promise<number[]> => {
  for (const record of records) {
    await createWork(deps()).putAway(handler, createDelivery(record), never);
  }
  const letters = await sql<{ id: number }[]>`
    select id::float8 as id from outrider.dead_letters order by id`;
  return letters.map((letter) => letter.id).slice(-records.length);
};

const three = () => recordsOf("a1 a2 a3") as [KafkaRecord, KafkaRecord, KafkaRecord];
/** Nobody stands in the way of what a redrive has opened any more. */
const settle = async (): Promise<void> => {
  const fresh = freshLooks();
  await fresh.look();
  await fresh.look();
};
/** One after the other, until nothing is due. */
const runAll = async (handler: Handler): Promise<void> => {
  for (let claims = await claimAll(); claims.length > 0; claims = await claimAll()) {
    for (const claim of claims) await runClaimed(claim, handler);
  }
};
type Decide = (client: Sql, id: number) => Promise<void>;

const edited = { eventId: "01a1fd9c-dbf5-763f-9075-add4726ffcad", payload: Buffer.from("{}") };
const redrive: Decide = (client, id) => client.begin((tx) => redriveLetter(tx, { id, ...who }));
const discard: Decide = (client, id) => client.begin((tx) => discardLetter(tx, { id, ...who }));
const edit: Decide = (client, id) =>
  client.begin((tx) => redriveLetter(tx, { id, ...who, edit: edited }));
const decisions = { redrive, discard, edit } as const;

describe("a skipped event that is redriven while a later one of its key runs", () => {
  /** a3 runs while `decide` opens the key again. */
  const beside = async (decide: (ids: readonly number[]) => Promise<void>): Promise<string[]> => {
    const [a1, a2, a3] = three();
    const ids = await bury(skipping(), a1, a2);
    const gate = createGate("the run of a3");
    const handler = skipping(async (n) => void (n === 3 && (await gate.pass())));
    const running = createWork(deps()).unit(runOf(handler, [a3]));
    await gate.reached();
    const fresh = freshLooks();
    await redrive(sql, ids[0] as number);
    await fresh.look();
    await decide(ids);
    await fresh.look();
    await fresh.look();
    const early = await claimAll();
    for (const claim of early) await runClaimed(claim, handler);
    gate.open();
    await running;
    await fresh.look();
    await fresh.look();
    await runAll(handler);
    expect([claimedNames(early), await overlapsOf()]).toEqual([[], []]);
    return (await seen()).split(" ");
  };

  test("waits for that one's end", async () => {
    expect(await beside(async () => {})).toEqual(["a3", "a1"]);
  });

  test("waits also when another one is redriven meanwhile", async () => {
    expect(await beside(([, id]) => redrive(sql, id as number))).toEqual(["a3", "a1", "a2"]);
  });

  test("waits also when another one is discarded meanwhile", async () => {
    expect(await beside(([, id]) => discard(sql, id as number))).toEqual(["a3", "a1"]);
  });
});

test("a redrive in front of an event that holds its key does not let it go", async () => {
  const [a1, a2, a3] = three();
  const [first] = (await bury(skipping(), a1)) as [number];
  // The handler has another policy since.
  const [second] = (await bury(holding(), a2)) as [number];
  await resolved(feed(holding(), [a3]));
  await redrive(sql, first);
  await settle();
  const claims = await claimAll();
  expect(claimedNames(claims)).toEqual(["a1"]);
  for (const claim of claims) await runClaimed(claim, holding());
  expect(await claimAll()).toEqual([]);
  await redrive(sql, second);
  await runAll(holding());
  expect([await seen(), await states()]).toEqual(["a1 a2 a3", { handled: 3 }]);
});

describe("an event of a handler without an order that is held all the same", () => {
  const alone = seeingHandler(() => undefined, { ordering: "none", onBury: "hold" });

  test("is run when it is redriven", async () => {
    const [id] = (await bury(alone, three()[0])) as [number];
    await redrive(sql, id);
    await runAll(alone);
    expect([await seen(), await states()]).toEqual(["a1", { handled: 1 }]);
  });

  test("leaves nothing behind when it is discarded", async () => {
    const [id] = (await bury(alone, three()[0])) as [number];
    await discard(sql, id);
    expect([await countOf("parked"), await countOf("parked_heads")]).toEqual([0, 0]);
  });
});

describe("two of a key that are redriven", () => {
  test("run in their order, whichever was redriven first", async () => {
    const [a1, a2] = three();
    const [first, second] = (await bury(skipping(), a1, a2)) as [number, number];
    await redrive(sql, second);
    await redrive(sql, first);
    await settle();
    await runAll(skipping());
    expect(await seen()).toBe("a1 a2");
  });

  test("run in their order also when the later one is running already", async () => {
    const [a1, a2] = three();
    const [first, second] = (await bury(skipping(), a1, a2)) as [number, number];
    await redrive(sql, second);
    await settle();
    const claim = await claimOne();
    const gate = createGate("the run of a2");
    const slow = skipping(async () => void (await gate.pass()));
    const running = runClaimed(claim, slow);
    await gate.reached();
    await redrive(sql, first);
    gate.open();
    expect((await running).kind).toBe("gone");
    expect([await seen(), await states()]).toEqual(["", { parked: 2 }]);
    await runAll(skipping());
    expect([await seen(), await states()]).toEqual(["a1 a2", { handled: 2 }]);
  });
});

test("an event that has ended processes is not judged by that once it is redriven", async () => {
  const ends = [true, true, true];
  const alive = inProcess(deps());
  const isolation: Isolation = {
    ...alive,
    run: (...given) => (ends.shift() ? Promise.resolve({ kind: "killed" }) : alive.run(...given)),
  };
  const suspected = async (): Promise<void> => {
    await claimAll(sql, 1);
    const open = () => sql`select from outrider.dead_letters where state = 'open'`;
    const runner = startRunning(holding(), { isolation });
    const isOver = async () => (await countOf("parked_heads")) === 0 || (await open()).length === 1;
    await until(isOver, { what: "an outcome", pollMs: 5 });
    await runner.stop(100);
  };
  await createWork(deps()).parkUnrun(holding(), [createDelivery(three()[0])]);
  await suspected();
  const [letter] = await sql`select id::float8 as id, code from outrider.dead_letters`;
  expect(letter?.code).toBe("PROCESS_KILLED");
  await redrive(sql, letter?.id);
  await suspected();
  expect([await seen(), await states()]).toEqual(["a1", { handled: 1 }]);
});

test("a runner takes away what it has run, and not what came in front meanwhile", async () => {
  const [a1, a2] = three();
  // Of another partition, as after a topic has grown.
  await createWork(deps()).parkUnrun(holding(), [createDelivery({ ...a2, partition: 1 })]);
  const claim = await claimOne();
  const gate = createGate("the run of a2");
  const slow = seeingHandler(async () => void (await gate.pass()));
  const running = runClaimed(claim, slow);
  await gate.reached();
  await createWork(deps()).unit(runOf(holding(), [a1]));
  gate.open();
  expect((await running).kind).toBe("handled");
  const left = await sql`
    select p."offset"::int as place, i.state from outrider.parked p
    join outrider.inbox i using (handler, event_id)`;
  expect(left.map((row) => ({ ...row }))).toEqual([{ place: 0, state: "parked" }]);
  await runAll(holding());
  expect([await seen(), await states()]).toEqual(["a2 a1", { handled: 2 }]);
});

describe("a second operator who has read the letter before the first one's decision", () => {
  for (const [name, decide] of Object.entries(decisions)) {
    test(`${name}s nothing once the event was redriven and handled`, async () => {
      const [a1] = three();
      const [id] = (await bury(skipping(), a1)) as [number];
      const second = createActor();
      const gate = second.stopBefore("parked_heads");
      const late = failureOf(decide(second.scene.sql, id));
      await gate.reached();
      await redrive(sql, id);
      await settle();
      await runAll(skipping());
      gate.open();
      expect(isFault(await late, "conflict")).toBe(true);
      await settle();
      await runAll(skipping());
      expect([await seen(), await states()]).toEqual(["a1", { handled: 1 }]);
      expect([await countOf("parked"), await countOf("parked_heads")]).toEqual([0, 0]);
    });

    test(`${name}s nothing while the event that was redriven runs`, async () => {
      const [a1] = three();
      const [id] = (await bury(holding(), a1)) as [number];
      const [gate, second] = [createGate("the run of a1"), createActor()];
      const early = second.stopBefore("parked_heads");
      const last = second.stopBefore("update outrider.dead_letters");
      const late = failureOf(decide(second.scene.sql, id));
      await early.reached();
      await redrive(sql, id);
      const claim = await claimOne();
      const slow = seeingHandler(async () => void (await gate.pass()));
      const running = runClaimed(claim, slow);
      await gate.reached();
      early.open();
      await last.reached();
      gate.open();
      // What the second one has done to the queue is not committed, and will not be.
      expect(await endsOrWaits(running)).toBe("waits");
      last.open();
      expect(isFault(await late, "conflict")).toBe(true);
      expect((await running).kind).toBe("handled");
      expect([await seen(), await states()]).toEqual(["a1", { handled: 1 }]);
      expect([await countOf("parked"), await countOf("parked_heads")]).toEqual([0, 0]);
    });
  }
});
