/**
 * Decisions about parked keys that meet runners, other workers and each other: exactly one wins,
 * and nothing is lost. On real Postgres; who comes first is not left to chance.
 */

import { describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { isFault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { buryHead, postponeHead, runNow } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import { writeRecord } from "@outrider/outbox";
import type { TransactionSql } from "@outrider/postgres";
import { discardLetter } from "@outrider/redrive";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { runTogether } from "../../packages/inbox/src/parking/run-claim.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import {
  claimAll,
  claimOne,
  claimedNames,
  createActor,
  createGate,
  endsOrWaits,
  lockWaits,
  never,
  runClaimed,
  runOf,
} from "../support/actors.ts";
import type { Actor } from "../support/actors.ts";
import { failureOf } from "../support/counted.ts";
import {
  boom,
  countOf,
  deps,
  recordsOf,
  sql,
  states,
  useParkingScene,
} from "../support/parking-scene.ts";
import { findingsOf, seeingHandler, seen, useSeen } from "../support/seen.ts";

useParkingScene();
useSeen();

const calm = (): Handler => seeingHandler(() => undefined);
const burial = { by: "ann", reason: "a test", group: "test", writeRecord };
type Act = (tx: TransactionSql, head: number) => Promise<unknown>;
const acts: Readonly<Record<string, Act>> = {
  "run now": runNow,
  postponed: (tx, head) => postponeHead(tx, head, new Date(Date.now() + 86_400_000)),
  "buried and held": (tx, head) => buryHead(tx, head, { ...burial, behind: "hold" }),
  "buried and skipped": (tx, head) => buryHead(tx, head, { ...burial, behind: "skip" }),
};
const isBurial = (what: string): boolean => what.startsWith("buried");

const parkUnrun = (...records: readonly KafkaRecord[]) =>
  createWork(deps()).parkUnrun(
    calm(),
    records.map((one) => createDelivery(one)),
  );
/** By key: `a`. */
const headsOf = async (): Promise<Record<string, number>> =>
  Object.fromEntries(
    (
      await sql`
        select convert_from(key, 'UTF8') as key, id::float8 as id from outrider.parked_heads`
    ).map((row) => [row.key, row.id]),
  );
/** Parked and due; the events are those of the word `a1 a2`. */
const parked = async (text: string) => {
  const records = recordsOf(text);
  await parkUnrun(...records);
  const { a = 0 } = await headsOf();
  return { records, head: a };
};
/** Claimed by somebody who is away for longer than the claim lasts. */
const claimForMoments = async () => {
  const claims = await claimAll(sql, 1);
  await delay(5);
  return claims;
};
/** On a connection of the actor's own. */
const actAs = (actor: Actor, doing: Act, ...heads: readonly number[]): Promise<unknown> =>
  actor.scene.sql.begin(async (tx) => {
    for (const head of heads) await doing(tx, head);
  });
/** What is parked runs, and what was given up is left out: all is as it should be then. */
const expectSound = async (records: readonly KafkaRecord[]): Promise<void> => {
  await expectConsistent(records);
  const letters = await sql`select id::float8 as id from outrider.dead_letters`;
  for (const { id } of letters) {
    await sql.begin((tx) => discardLetter(tx, { id, by: "ann", reason: "a test" }));
  }
  await sql`update outrider.parked set due_at = now()`;
  await sql`update outrider.parked_heads set due_at = now()`;
  for (let claims = await claimAll(); claims.length > 0; claims = await claimAll()) {
    for (const claim of claims) await runClaimed(claim, calm());
  }
  expect(await findingsOf(records)).toEqual([]);
  await expectConsistent(records);
};

/** Every event has one inbox row; parked and held ones are queued, and only those; letters fit. */
const expectConsistent = async (records: readonly KafkaRecord[]): Promise<void> => {
  const rows = await sql<{ inbox: string; queue: string | null; letter: string | null }[]>`
    select i.state as inbox, p.state as queue, l.state as letter
    from outrider.inbox i
    left join outrider.parked p using (handler, event_id)
    left join outrider.dead_letters l using (handler, event_id)`;
  const known = new Set([
    "handled - -",
    "parked due -",
    "dead dead open",
    "dead - open",
    "dead - discarded",
  ]);
  const found = rows.map(({ inbox, queue, letter }) => [inbox, queue ?? "-", letter ?? "-"]);
  expect(found.map((one) => one.join(" ")).filter((one) => !known.has(one))).toEqual([]);
  expect(rows.length).toBe(records.length);
  const [orphans] = await sql`
    select (select count(*)::int from outrider.parked p where not exists (
        select from outrider.parked_heads h where h.id = p.head)) as rows,
      (select count(*)::int from outrider.parked_heads h where not exists (
        select from outrider.parked p where p.head = h.id)) as heads`;
  expect({ ...orphans }).toEqual({ rows: 0, heads: 0 });
  expect(await countOf("outbox")).toBe(await countOf("dead_letters"));
};

for (const [what, doing] of Object.entries(acts)) {
  describe(`a key that is ${what}`, () => {
    test("while a runner looks for what is due is not claimed beside it", async () => {
      const { records, head } = await parked("a1 a2");
      const actor = createActor();
      const gate = actor.stopBefore("commit");
      const acting = actAs(actor, doing, head);
      await gate.reached();
      expect(await claimAll()).toEqual([]);
      gate.open();
      await acting;
      const claimed = claimedNames(await claimAll());
      const expected = { "run now": ["a1,a2"], "buried and skipped": ["a2"] }[what] ?? [];
      expect(claimed).toEqual(expected);
      await expectConsistent(records);
    });

    test("while a runner claims it is left to that one", async () => {
      const { records, head } = await parked("a1 a2");
      const runner = createActor();
      const gate = runner.stopBefore("commit");
      const claiming = claimAll(runner.scene.sql);
      await gate.reached();
      const acting = failureOf(sql.begin((tx) => doing(tx, head)));
      await lockWaits(1);
      gate.open();
      const refused = await acting;
      expect(isFault(refused, "conflict")).toBe(true);
      expect(String(refused)).toContain("is running");
      for (const claim of await claiming) await runClaimed(claim, calm());
      expect([await seen(), await states()]).toEqual(["a1 a2", { handled: 2 }]);
      await expectConsistent(records);
    });

    test("is left alone while its event runs, without waiting for that", async () => {
      const { records, head } = await parked("a1 a2");
      const run = createGate("the run of a1");
      const slow = seeingHandler(async (n) => void (n === 1 && (await run.pass())));
      const running = runClaimed(await claimOne(), slow);
      await run.reached();
      expect(isFault(await failureOf(sql.begin((tx) => doing(tx, head))), "conflict")).toBe(true);
      run.open();
      expect((await running).kind).toBe("handled");
      expect(await countOf("dead_letters")).toBe(0);
      await expectConsistent(records);
    });

    test("is the operator's, when its runner comes back after the claim has run out", async () => {
      const { records, head } = await parked("a1 a2");
      const [claim] = await claimForMoments();
      const actor = createActor();
      const gate = actor.stopBefore("commit");
      const acting = actAs(actor, doing, head);
      await gate.reached();
      const running = claim && runClaimed(claim, calm());
      await lockWaits(1);
      gate.open();
      await acting;
      expect((await running)?.kind).toBe("gone");
      expect([await seen(), await countOf("dead_letters")]).toEqual(["", isBurial(what) ? 1 : 0]);
      await expectSound(records);
    });

    test("is the runner's, when that one is about to commit after all", async () => {
      const { records, head } = await parked("a1");
      const [claim] = await claimForMoments();
      const runner = createActor();
      const gate = runner.stopBefore("commit");
      const running = claim && runClaimed(claim, calm(), runner.scene);
      await gate.reached();
      const acting = failureOf(sql.begin((tx) => doing(tx, head)));
      await lockWaits(1);
      gate.open();
      expect((await running)?.kind).toBe("handled");
      expect(isFault(await acting, "not_found")).toBe(true);
      expect([await seen(), await states()]).toEqual(["a1", { handled: 1 }]);
      await expectConsistent(records);
    });

    test("ends a claim whose runner has failed, too: it changes nothing", async () => {
      const { records, head } = await parked("a1");
      const claims = await claimForMoments();
      await sql.begin((tx) => doing(tx, head));
      const table = () => sql`select * from outrider.parked order by id`;
      const before = [...(await table())];
      for (const error of [boom, Object.assign(new Error("no"), { code: "invalid" })]) {
        const failing = seeingHandler(() => error, { retry: { attemptsMax: 1 } });
        for (const claim of claims) await runClaimed(claim, failing);
      }
      expect([...(await table())]).toEqual(before);
      const letters = isBurial(what) ? 1 : 0;
      const left = [await countOf("dead_letters"), await countOf("dead_letter_history")];
      expect([...left, await countOf("failed_attempts")]).toEqual([letters, letters, 0]);
      await expectConsistent(records);
    });

    test("while a later event of it arrives keeps their order", async () => {
      const records = recordsOf("a1 a2") as [KafkaRecord, KafkaRecord];
      await parkUnrun(records[0]);
      const { a: head = 0 } = await headsOf();
      const actor = createActor();
      const gate = actor.stopBefore("commit");
      const acting = actAs(actor, doing, head);
      await gate.reached();
      const arriving = createWork(deps()).unit(runOf(calm(), [records[1]]));
      expect(await endsOrWaits(arriving)).toBe("waits");
      gate.open();
      await Promise.all([acting, arriving]);
      await expectSound(records);
    });
  });
}

test("of two operators one finds what the other has decided", async () => {
  const { records, head } = await parked("a1 a2");
  const actor = createActor();
  const gate = actor.stopBefore("commit");
  const bury = acts["buried and held"] as Act;
  const first = actAs(actor, bury, head);
  await gate.reached();
  const second = failureOf(sql.begin((tx) => bury(tx, head)));
  await lockWaits(1);
  gate.open();
  await first;
  expect(String(await second)).toContain("is held by dead letter");
  expect(await countOf("dead_letters")).toBe(1);
  await expectConsistent(records);
});

test("an event that has come to the front while the operator decided is not buried", async () => {
  const { records, head } = await parked("a1 a2");
  await sql`update outrider.parked_heads set batch_max = 1`;
  const [first] = await sql`select event_id from outrider.parked order by "offset"`;
  const [claim] = await claimForMoments();
  const runner = createActor();
  const gate = runner.stopBefore("commit");
  const running = claim && runClaimed(claim, calm(), runner.scene);
  await gate.reached();
  const meant = { ...burial, behind: "skip", eventId: first?.event_id } as const;
  const acting = failureOf(sql.begin((tx) => buryHead(tx, head, meant)));
  await lockWaits(1);
  gate.open();
  await running;
  expect(isFault(await acting, "conflict")).toBe(true);
  expect([await seen(), await countOf("dead_letters")]).toEqual(["a1", 0]);
  await expectConsistent(records);
});

describe("decisions about several keys in one transaction", () => {
  /** Heads in another order than their keys, all with claims that have run out. */
  const scene = async () => {
    const records = recordsOf("c1 b1 a1");
    for (const record of records) await parkUnrun(record);
    const claims = await claimForMoments();
    const { a = 0, b = 0, c = 0 } = await headsOf();
    expect([c < b, b < a]).toEqual([true, true]);
    return { records, claims, heads: [a, b, c] };
  };
  /** Halfway: it has decided about `a`, and has not locked `b` yet. */
  const startHalfway = async (doing: Act, heads: readonly number[]) => {
    const actor = createActor();
    const first = actor.stopBefore("from outrider.parked_heads where id");
    const acting = actAs(actor, doing, ...heads);
    await first.reached();
    const gate = actor.stopBefore("from outrider.parked_heads where id");
    first.open();
    await gate.reached();
    return { acting, gate };
  };
  const outcomeOf = async (...running: Promise<unknown>[]): Promise<string[]> =>
    (await Promise.allSettled(running)).map((one) =>
      one.status === "fulfilled" ? "done" : String(one.reason?.code ?? one.reason),
    );

  const second: Readonly<Record<string, string>> = {
    "buried and held": "conflict",
    "buried and skipped": "not_found",
  };
  for (const [what, doing] of Object.entries(acts)) {
    test(`that are ${what} meet others without a deadlock`, async () => {
      const { records, claims, heads } = await scene();
      const { acting, gate } = await startHalfway(doing, heads);
      const [claim, ...more] = claims;
      if (!claim) throw new Error("nothing was due");
      const together = { ...deps(), transientMaxAgeMs: 60_000, stopping: never() };
      const running = runTogether([claim, ...more], calm(), together);
      await lockWaits(1);
      const other = createActor();
      const others = actAs(other, acts.postponed as Act, ...heads);
      await lockWaits(2);
      const later = recordsOf("c2 b2 a2").map((one) => ({ ...one, offset: one.offset + 10 }));
      const parking = parkUnrun(...later);
      await lockWaits(3);
      gate.open();
      const outcomes = await outcomeOf(acting, running, others, parking);
      // The second operator's keys are held by letters by now, or gone.
      expect(outcomes).toEqual(["done", "done", second[what] ?? "done", "done"]);
      expect([await running, await seen()]).toEqual([undefined, ""]);
      await expectSound([...records, ...later]);
    });
  }

  test("in another order than that of their keys they are ended by a deadlock", async () => {
    const { heads } = await scene();
    const { acting, gate } = await startHalfway(runNow, heads.toReversed());
    const other = await startHalfway(runNow, heads);
    gate.open();
    other.gate.open();
    expect((await outcomeOf(acting, other.acting)).toSorted()).toEqual(["40P01", "done"]);
  });
});
