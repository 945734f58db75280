/** Decisions about parked keys, one at a time. On real Postgres. */

import { describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { fault, isFault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { buryHead, postponeHead, runNow } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import { writeRecord } from "@outrider/outbox";
import type { TransactionSql } from "@outrider/postgres";
import { discardLetter, redriveLetter } from "@outrider/redrive";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { claimAll, claimOne, claimedNames, freshLooks, runClaimed } from "../support/actors.ts";
import { failureOf } from "../support/counted.ts";
import {
  boom,
  countOf,
  deps,
  feed,
  name,
  recordsOf,
  resolved,
  sql,
  states,
  topic,
  useParkingScene,
} from "../support/parking-scene.ts";
import { seeingHandler, seen, useSeen } from "../support/seen.ts";

useParkingScene();
useSeen();

const dayMs = 86_400_000;
const calm = (more: object = {}): Handler => seeingHandler(() => undefined, more);
const who = { by: "ann", reason: "a test" };
const burial = { ...who, group: "test", writeRecord };
type Act = (tx: TransactionSql, head: number) => Promise<unknown>;
const acts: Readonly<Record<string, Act>> = {
  "run now": runNow,
  postponed: (tx, head) => postponeHead(tx, head, new Date(Date.now() + dayMs)),
  buried: (tx, head) => buryHead(tx, head, { ...burial, behind: "hold" }),
};
const act = (doing: Act, head: number) => sql.begin((tx) => doing(tx, head));

/** The first event has failed, at its first delivery, and is due again in an hour. */
const park = async (text: string, more: object = {}): Promise<number> => {
  const [first, ...rest] = recordsOf(text) as [KafkaRecord, ...KafkaRecord[]];
  const error = fault("conflict", "not now", { retryAfterMs: 3_600_000 });
  await createWork(deps()).putAway(calm(more), createDelivery(first), error);
  if (rest.length > 0) await resolved(feed(calm(more), rest));
  const [head] = await sql`select id::float8 as id from outrider.parked_heads`;
  return head?.id;
};
const runAll = async (handler = calm()): Promise<void> => {
  for (let claims = await claimAll(); claims.length > 0; claims = await claimAll()) {
    for (const claim of claims) await runClaimed(claim, handler);
  }
};
const letter = async () => (await sql`select *, id::float8 as id from outrider.dead_letters`)[0];

describe("a parked key", () => {
  test("that is run now is run at once, with what waits behind it", async () => {
    const head = await park("a1 a2");
    await sql`update outrider.parked_heads set timer_at = due_at`;
    expect(await claimAll()).toEqual([]);
    await act(runNow, head);
    const [row] = await sql`select timer_at, due_at <= now() as due from outrider.parked_heads`;
    expect({ ...row }).toEqual({ timer_at: null, due: true });
    const [queued] = await sql`select attempt, code, lost from outrider.parked
      order by "offset" limit 1`;
    expect({ ...queued }).toEqual({ attempt: 1, code: "conflict", lost: 0 });
    await runAll();
    expect([await seen(), await states()]).toEqual(["a1 a2", { handled: 2 }]);
  });

  test("that is postponed is due then, and has not failed", async () => {
    const head = await park("a1 a2");
    const until = new Date(Date.now() + 3 * dayMs);
    await act((tx) => postponeHead(tx, head, until), head);
    const [row] = await sql`
      select h.due_at, p.due_at as first_due_at, h.timer_at, p.attempt
      from outrider.parked_heads h join outrider.parked p on p.head = h.id
      order by p."offset" limit 1`;
    expect({ ...row }).toEqual({ due_at: until, first_due_at: until, timer_at: null, attempt: 1 });
    expect([await countOf("failed_attempts"), await claimAll()]).toEqual([1, []]);
  });

  test("that was postponed for days is not too old for a retry then", async () => {
    const head = await park("a1");
    await act((tx) => postponeHead(tx, head, new Date(Date.now() + 3 * dayMs)), head);
    // Three days later.
    await sql`
      update outrider.parked
      set due_at = due_at - interval '3 days', parked_at = parked_at - interval '3 days'`;
    await sql`update outrider.parked_heads set due_at = due_at - interval '3 days'`;
    const away = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    const outcome = await runClaimed(
      await claimOne(),
      seeingHandler(() => away),
    );
    expect([outcome.kind, await states()]).toEqual(["failed", { parked: 1 }]);
  });

  test("that is postponed again and again was never parked later than it is due", async () => {
    const head = await park("a1");
    const far = new Date("2999-12-31T23:59:59Z");
    for (let n = 0; n < 3; n += 1) await act((tx) => postponeHead(tx, head, far), head);
    const isSound = async () =>
      (await sql`select parked_at <= greatest(due_at, now()) as sound from outrider.parked`)[0];
    expect({ ...(await isSound()) }).toEqual({ sound: true });
    await act(runNow, head);
    expect({ ...(await isSound()) }).toEqual({ sound: true });
  });

  test("that is postponed into the past is due at once", async () => {
    const head = await park("a1");
    await act((tx) => postponeHead(tx, head, new Date(0)), head);
    await runAll();
    expect(await seen()).toBe("a1");
  });

  test("whose first event is buried is held by the letter, which says who and why", async () => {
    const head = await park("a1 a2");
    const id = await act(acts.buried as Act, head);
    expect(await letter()).toMatchObject({
      ...{ id, handler: name, state: "open", code: "BURIED_BY_OPERATOR", message: "a test" },
      ...{ attempts: 1, skipped: false, topic, type: "test.counted", partition: 0, offset: "0" },
      fingerprint: `${name} | BURIED_BY_OPERATOR | a test`,
    });
    const history = await sql`select letter::float8, action, by, message
      from outrider.dead_letter_history`;
    expect(history.map((row) => ({ ...row }))).toEqual([
      { letter: id, action: "buried", by: "ann", message: "a test" },
    ]);
    // Of the run that had failed before.
    expect(await countOf("failed_attempts")).toBe(1);
    const queue = await sql`select state, attempt, code from outrider.parked order by "offset"`;
    expect(queue.map((row) => Object.values(row))).toEqual([
      ["dead", 1, "BURIED_BY_OPERATOR"],
      ["due", 0, null],
    ]);
    await runAll();
    expect([await seen(), await states()]).toEqual(["", { dead: 1, parked: 1 }]);
    const [record] = await sql`select topic, convert_from(key, 'UTF8') as key, headers::text
      from outrider.outbox`;
    expect(record).toMatchObject({ topic: `${topic}.dlq`, key: "a" });
    for (const text of ["BURIED_BY_OPERATOR", "a test", name]) {
      expect(record?.headers).toContain(text);
    }
    await sql.begin((tx) => redriveLetter(tx, { id: id as number, ...who }));
    await runAll();
    expect([await seen(), await states()]).toEqual(["a1 a2", { handled: 2 }]);
  });

  test("whose first event is buried goes on without it, with the policy skip", async () => {
    const head = await park("a1 a2");
    await act((tx) => buryHead(tx, head, { ...burial, behind: "skip" }), head);
    expect(await letter()).toMatchObject({ state: "open", skipped: true });
    await runAll();
    expect([await seen(), await states()]).toEqual(["a2", { handled: 1, dead: 1 }]);
    expect([await countOf("parked"), await countOf("parked_heads")]).toEqual([0, 0]);
  });

  test("ends with its only event, with the policy skip", async () => {
    const head = await park("a1");
    await act((tx) => buryHead(tx, head, { ...burial, behind: "skip" }), head);
    expect([await countOf("parked"), await countOf("parked_heads")]).toEqual([0, 0]);
    const gone = await failureOf(act(runNow, head));
    expect(isFault(gone, "not_found")).toBe(true);
  });

  test("whose event nobody has run yet is a letter without a run", async () => {
    await createWork(deps()).parkUnrun(
      calm(),
      recordsOf("a1").map((one) => createDelivery(one)),
    );
    const [row] = await sql`select id::float8 as id from outrider.parked_heads`;
    await act(acts.buried as Act, row?.id);
    expect([(await letter())?.attempts, await countOf("failed_attempts")]).toEqual([0, 0]);
  });

  test("is left alone when another event than the one that is meant is its first", async () => {
    const head = await park("a1 a2");
    const [first, second] = await sql`select event_id from outrider.parked order by "offset"`;
    const buryOne = (eventId: string) =>
      act((tx) => buryHead(tx, head, { ...burial, behind: "skip", eventId }), head);
    expect(isFault(await failureOf(buryOne(second?.event_id)), "conflict")).toBe(true);
    expect(await countOf("dead_letters")).toBe(0);
    await buryOne(first?.event_id);
    expect((await letter())?.event_id).toBe(first?.event_id);
  });

  test("keeps nothing of a decision whose transaction is rolled back", async () => {
    const head = await park("a1");
    const before = await sql`select * from outrider.parked_heads`;
    for (const doing of Object.values(acts)) {
      const failing = sql.begin(async (tx) => {
        await doing(tx, head);
        throw boom;
      });
      expect(await failureOf(failing)).toBe(boom);
    }
    expect([...(await sql`select * from outrider.parked_heads`)]).toEqual([...before]);
    const left = [await countOf("dead_letters"), await countOf("outbox"), await states()];
    expect(left).toEqual([0, 0, { parked: 1 }]);
  });
});

for (const [what, doing] of Object.entries(acts)) {
  describe(`a key that cannot be ${what}`, () => {
    const refusal = async (head: number): Promise<unknown> => failureOf(act(doing, head));

    test("is not parked", async () => {
      expect(isFault(await refusal(7), "not_found")).toBe(true);
    });

    test("is held by a dead letter: it is said by which", async () => {
      const head = await park("a1 a2");
      const id = await act(acts.buried as Act, head);
      const refused = await refusal(head);
      expect(isFault(refused, "conflict")).toBe(true);
      expect(String(refused)).toContain(`dead letter ${String(id)}`);
      await sql.begin((tx) => discardLetter(tx, { id: id as number, ...who }));
      await act(doing, head);
    });

    test("is running", async () => {
      const head = await park("a1");
      await act(runNow, head);
      const claim = await claimOne();
      const refused = await refusal(head);
      expect(isFault(refused, "conflict")).toBe(true);
      expect(String(refused)).toContain("is running; try again");
      expect((await runClaimed(claim, calm())).kind).toBe("handled");
    });

    test("was just redriven, beside later events of it", async () => {
      const head = await park("a1");
      await act((tx) => buryHead(tx, head, { ...burial, behind: "skip" }), head);
      const again = (await letter())?.id as number;
      await sql.begin((tx) => redriveLetter(tx, { id: again, ...who }));
      const [fresh] = await sql`select id::float8 as id from outrider.parked_heads`;
      expect(isFault(await refusal(fresh?.id), "conflict")).toBe(true);
      const looks = freshLooks();
      await looks.look();
      await looks.look();
      await act(doing, fresh?.id);
    });
  });

  test(`a claim that has run out ends when its key is ${what}, and is remembered`, async () => {
    const head = await park("a1");
    await act(runNow, head);
    await claimAll(sql, 1);
    await delay(5);
    await act(doing, head);
    const [row] = await sql`
      select h.token, h.claimed_until, p.token as row_token, p.lost
      from outrider.parked_heads h join outrider.parked p on p.head = h.id`;
    expect({ ...row }).toEqual({ token: null, claimed_until: null, row_token: null, lost: 1 });
    expect(claimedNames(await claimAll())).toEqual(what === "run now" ? ["a1"] : []);
  });
}
