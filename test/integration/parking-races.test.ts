/** Parked events that several hands reach for at once. On real Postgres. */

import { describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { finish } from "../../packages/inbox/src/parking/outcome.ts";
import { claimDue } from "../../packages/inbox/src/parking/queue.ts";
import { runClaim } from "../../packages/inbox/src/parking/run-claim.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { claimedNames, createActor, endsOrWaits, runOf } from "../support/actors.ts";
import {
  useParkingScene,
  name,
  sql,
  deps,
  handlerOf,
  recordsOf,
  feed,
  resolved,
  startRunning,
  ofKey,
  countOf,
  states,
  emptied,
  boom,
} from "../support/parking-scene.ts";
import { until } from "../support/until.ts";

useParkingScene();

describe("races", () => {
  const claim = async (claimMs = 60_000) => {
    const claims = await sql.begin((tx) => claimDue(tx, [name], { claimMs, headsMax: 10 }));
    const [one] = claims;
    if (!one) throw new Error("nothing was due");
    return one;
  };
  const parked = async (text: string): Promise<readonly KafkaRecord[]> => {
    const records = recordsOf(text);
    await resolved(
      feed(
        handlerOf(() => boom),
        records,
      ),
    );
    await delay(5);
    return records;
  };

  test("whoever has lost a claim gives nothing up, and does not say so", async () => {
    await parked("a1");
    const lost = await claim(1);
    await delay(5);
    await claim();
    const handler = handlerOf(() => fault("invalid", "never"));
    const stopping = new AbortController().signal;
    const outcome = await runClaim(lost, handler, { ...deps(), transientMaxAgeMs: 1, stopping });
    expect([outcome.kind, await countOf("dead_letters")]).toEqual(["gone", 0]);
  });

  test("parking an event that a new owner has handled does nothing", async () => {
    const [record] = recordsOf("a1") as [KafkaRecord];
    const delivery = createDelivery(record);
    await resolved(
      feed(
        handlerOf(() => undefined),
        [record],
      ),
    );
    await createWork(deps()).putAway(
      handlerOf(() => undefined),
      delivery,
      boom,
    );
    expect([await countOf("parked"), await countOf("parked_heads")]).toEqual([0, 0]);
    expect(await states()).toEqual({ handled: 1 });
  });

  for (const join of ["behind a parked key", "unrun"] as const) {
    test(`an event that comes twice has its first place when it is parked ${join}`, async () => {
      const records = recordsOf("a1 a2 a3 a4");
      const again = { ...(records[1] as KafkaRecord), offset: 9 };
      const handler = handlerOf(() => undefined);
      if (join === "unrun") {
        const deliveries = [...records, again].map((record) => createDelivery(record));
        expect(await createWork(deps()).parkUnrun(handler, deliveries)).toBe(4);
      } else {
        const failing = handlerOf(() => boom);
        await resolved(feed(failing, records.slice(0, 1)));
        await resolved(feed(failing, [...records.slice(1), again]));
      }
      const places = await sql`
        select p."offset"::int as queue, i."offset"::int as inbox
        from outrider.parked p join outrider.inbox i using (handler, event_id) order by 1`;
      expect(places.map((row) => ({ ...row }))).toEqual(
        [0, 1, 2, 3].map((offset) => ({ queue: offset, inbox: offset })),
      );
      startRunning(handler);
      await emptied("parked_heads");
      expect(await ofKey("a")).toEqual([1, 2, 3, 4]);
    });
  }

  test("a runner that stops gives back what it has claimed and not begun", async () => {
    await parked("a1 b1 c1 d1 e1 f1");
    const gate = Promise.withResolvers<void>();
    const begun: string[] = [];
    const slow = handlerOf(() => undefined);
    const handler = {
      ...slow,
      run: async (...given: Parameters<typeof slow.run>) => {
        begun.push(given[0][0]?.key ?? "");
        await gate.promise;
        return slow.run(...given);
      },
    };
    const runner = startRunning(handler, { parkedKeysMax: 1 });
    await until(() => begun.length === 1, { what: "the first one" });
    const stopping = runner.stop(2000);
    gate.resolve();
    await stopping;
    const left = await sql`select token, lost from outrider.parked`;
    expect(left.map((row) => ({ ...row }))).toEqual(
      Array.from({ length: 5 }, () => ({ token: null, lost: 0 })),
    );
    expect(begun).toHaveLength(1);
    startRunning(slow);
    await emptied("parked_heads");
  });

  test("a claim that ran out finishes nothing", async () => {
    await parked("a1 a2");
    const late = await claim(1);
    await delay(10);
    const next = await claim();
    expect(await sql.begin((tx) => finish(tx, [late]))).toBe(false);
    expect(next.rows.map((row) => [row.record.offset, row.lost])).toEqual([[0, 1]]);
    expect(await sql.begin((tx) => finish(tx, [next]))).toBe(true);
    const last = await claim();
    expect(last.rows.map((row) => [row.record.offset, row.lost])).toEqual([[1, 0]]);
    expect(await sql.begin((tx) => finish(tx, [last]))).toBe(true);
    expect(await countOf("parked_heads")).toBe(0);
  });

  test("a head is claimed once, however many want it", async () => {
    await parked("a1 b1 c1");
    const many = await Promise.all(
      Array.from({ length: 6 }, () =>
        sql.begin((tx) => claimDue(tx, [name], { claimMs: 60_000, headsMax: 10 })),
      ),
    );
    expect(many.flat()).toHaveLength(3);
  });

  test("an event that joins the queue while its last one leaves is not stranded", async () => {
    const [first, second] = recordsOf("a1 a2") as [KafkaRecord, KafkaRecord];
    const handler = handlerOf(() => undefined);
    await createWork(deps()).parkUnrun(handler, [createDelivery(first)]);
    const last = await claim();
    const worker = createActor();
    const gate = worker.stopBefore("commit");
    const joining = createWork(worker.scene).unit(runOf(handler, [second]));
    await gate.reached();
    const finishing = sql.begin((tx) => finish(tx, [last]));
    expect(await endsOrWaits(finishing)).toBe("waits");
    gate.open();
    await joining;
    expect(await finishing).toBe(true);
    expect([await countOf("parked_heads"), await countOf("parked")]).toEqual([1, 1]);
    expect(claimedNames([await claim()])).toEqual(["a2"]);
  });

  test("an event does not overtake the one before it, which somebody else parks", async () => {
    const records = recordsOf("a1 a2") as [KafkaRecord, KafkaRecord];
    const handler = handlerOf(() => undefined);
    const late = createActor();
    const gate = late.stopBefore("commit");
    const parking = createWork(late.scene).putAway(handler, createDelivery(records[0]), boom);
    await gate.reached();
    const batch = createWork(deps()).batch(runOf(handler, records));
    expect(await endsOrWaits(batch)).toBe("waits");
    gate.open();
    await parking;
    expect(await batch).toEqual({ parked: new Set([Buffer.from("a").toString("hex")]) });
    expect([await ofKey("a"), await states()]).toEqual([[], { parked: 1 }]);
  });

  test("a hot key is drained in batches", async () => {
    const texts = Array.from({ length: 400 }, (_, n) => `a${n + 1}`).join(" ");
    let isBroken = true;
    const handler = handlerOf(({ data }) => isBroken && data.n === 1 && boom);
    await resolved(feed(handler, recordsOf(texts)));
    expect(await countOf("parked")).toBe(400);
    isBroken = false;
    startRunning(handler);
    await emptied("parked_heads");
    const numbers = await ofKey("a");
    expect(numbers).toEqual(Array.from({ length: 400 }, (_, n) => n + 1));
    const [row] = await sql`
      select count(distinct xmin::text)::int as transactions from effects`;
    expect(row?.transactions).toBeLessThan(10);
  });
});
