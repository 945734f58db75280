/** What handlers throw and foreign producers write, at every limit: each event has an outcome. */

import { describe, expect, test } from "bun:test";
import { dataschemaOf, defineEvent, fault, headerTexts } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { defineHandler } from "@outrider/inbox";
import * as v from "valibot";
import { createBreakers } from "../../packages/inbox/src/breaker.ts";
import { breakerDefaults } from "../../packages/inbox/src/breaker.ts";
import { recordAt } from "../support/counted.ts";
import { oddRecords, withHeaders } from "../support/odd-records.ts";
import {
  boom,
  count,
  countOf,
  db,
  definition,
  deps,
  effects,
  emptied,
} from "../support/parking-scene.ts";
import {
  feed,
  handlerOf,
  name,
  ofKey,
  recordsOf,
  resolved,
  sql,
} from "../support/parking-scene.ts";
import { startRunning, states, topic, useParkingScene } from "../support/parking-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

useParkingScene();

const quick = { attemptsMax: 5, baseMs: 1, capMs: 1 };

describe("an event of a version that the handler does not know", () => {
  const second = defineEvent({
    ...{ type: "test.counted", version: 2, source: "test", category: "domain", topic },
    data: v.object({ key: v.string(), n: v.number(), unit: v.string() }),
    key: (data) => data.key,
  });
  const newer = (record: KafkaRecord): KafkaRecord => ({
    ...withHeaders(record, { ce_dataschema: dataschemaOf("test.counted", 2) }),
    value: Buffer.from(JSON.stringify({ key: "a", n: 2, unit: "kg" })),
  });
  /** `a2` is of version 2. */
  const mixed = (text: string) =>
    recordsOf(text).map((one) => (headerTexts(one.headers).ce_sequence === "2" ? newer(one) : one));

  test("waits, parked with a reason, and holds its key; others go on", async () => {
    const breakers = createBreakers([name], { sql, log: silentLog }, breakerDefaults);
    startRunning(
      handlerOf(() => false, { retry: quick }),
      { breakers },
    );
    const handler = handlerOf(() => false, { retry: quick });
    await resolved(feed(handler, mixed("a1 a2 b1 a3 b2 c2 d2 e2 f2 g2 h2 b3"), { breakers }));
    const runs = async () =>
      (await sql`select min(runs)::int as n from outrider.parked where code is not null`)[0]?.n;
    await until(async () => (await runs()) > 3, { what: "a few runs of each" });
    expect([await ofKey("a"), await ofKey("b")]).toEqual([[1], [1]]);
    expect(await states()).toEqual({ handled: 2, parked: 10 });
    const codes = await sql`
      select distinct code, attempt, message from outrider.parked where code is not null`;
    expect(codes.map((row) => ({ ...row }))).toEqual([
      {
        ...{ code: "version_unknown", attempt: 0 },
        message: "test.handler does not know version 2 of test.counted: deploy one that does",
      },
    ]);
    // It says nothing of the handler.
    expect([breakers.open(), await countOf("breakers"), await countOf("dead_letters")]).toEqual([
      [],
      0,
      0,
    ]);
    await breakers.stop();
  });

  test("runs, and what waits behind it in order, once a handler knows it", async () => {
    await resolved(
      feed(
        handlerOf(() => false, { retry: quick }),
        mixed("a1 a2 a3"),
      ),
    );
    await sql`update outrider.parked set parked_at = parked_at - interval '60 days'`;
    const seen: string[] = [];
    const deployed = defineHandler({
      ...{ name, on: [definition, second], retry: quick },
      run: async ({ version, data }) => void seen.push(`${version}: ${data.n}`),
    });
    startRunning(deployed);
    await emptied("parked_heads");
    expect([seen, await states()]).toEqual([["2: 2", "1: 3"], { handled: 3 }]);
  });
});

describe("a failure that counts for nobody", () => {
  const away = () => Object.assign(new Error("refused"), { code: "ECONNREFUSED" });

  test("is tried again ever more seldom, and its runs are told", async () => {
    const handler = handlerOf(away, { retry: { attemptsMax: 2, baseMs: 2, capMs: 60_000 } });
    const scene = { ...deps(), random: () => 1 };
    startRunning(handler, { scene });
    await resolved(feed(handler, recordsOf("a1"), { scene }));
    const row = async () => (await sql`select runs, attempt from outrider.parked`)[0];
    await until(async () => (await row())?.runs >= 7, { what: "some runs" });
    const [head] = await sql`
      select extract(epoch from due_at - clock_timestamp()) * 1000 as "leftMs"
      from outrider.parked_heads`;
    expect((await row())?.attempt).toBe(0);
    // 2 ms, doubled by each run: with a delay that stays it would be due already.
    expect(Number(head?.leftMs)).toBeGreaterThan(60);
  });

  test("that asks for a pause of centuries gets an hour", async () => {
    const asked = 10_000_000_000_000;
    const handler = handlerOf(() => fault("unavailable", "later", { retryAfterMs: asked }));
    await resolved(feed(handler, recordsOf("a1")));
    const [row] = await sql`
      select extract(epoch from due_at - clock_timestamp())::float8 as seconds
      from outrider.parked_heads`;
    expect(row?.seconds).toBeWithin(3500, 3601);
  });
});

describe("an error that cannot be read", () => {
  const unreadable: Readonly<Record<string, () => unknown>> = {
    a: () => Object.create(null),
    b: () => Object.defineProperty(new Error("x"), "message", { get: () => assertNever() }),
    c: () => Object.defineProperty(new Error("x"), "code", { get: () => assertNever() }),
    d: () => {
      const error = new Error("round");
      error.cause = error;
      return error;
    },
    e: () => new Error("m".repeat(30_000_000)),
    f: () => new Error("a\0b\uD800"),
    g: () => Object.assign(new Error("x"), { name: "n".repeat(100_000) }),
  };
  const assertNever = (): never => {
    throw new Error("no");
  };

  test("is a failure as any other: counted, and given up with its own reason", async () => {
    const handler = handlerOf(({ data }) => unreadable[data.key]?.(), { retry: quick });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 b1 c1 d1 e1 f1 g1 s1")));
    await until(async () => (await countOf("dead_letters")) === 7, { what: "the letters" });
    expect(await effects()).toBe("s1");
    const letters = await sql`
      select attempts, length(message) as chars, length(code) as code, 
        code = 'PROCESS_KILLED' as killed
      from outrider.dead_letters`;
    for (const letter of letters) {
      expect(letter).toMatchObject({ attempts: 5, killed: false });
      expect([letter.chars <= 10_000, letter.code <= 100]).toEqual([true, true]);
    }
  }, 30_000);
});

describe("a foreign record", () => {
  const ways: readonly (readonly [string, (n: number) => unknown, string])[] = [
    ["is handled or given up", () => false, "handled"],
    ["that fails for good is a letter", () => fault("invalid", "no"), "dead"],
    ["that fails is tried again, and a letter in the end", () => boom, "dead"],
  ];
  for (const [what, fails, state] of ways) {
    test(`${what}, with every field at and beyond its limits`, async () => {
      const handler = handlerOf(({ data }) => data.key !== "sound" && fails(data.n), {
        retry: { ...quick, attemptsMax: 2 },
        onBury: "skip",
      });
      startRunning(handler, { parkedKeysMax: 8 });
      const odd = oddRecords((n) => recordAt(count(`odd-${n}`, 1), { topic, offset: n }));
      const sound = recordAt(count("sound", 1), { topic, offset: odd.length });
      const partition = feed(handler, [...odd, sound]);
      const isDone = () => partition.unresolved() === 0;
      await until(isDone, { what: "an outcome for every record", timeoutMs: 60_000 });
      // What is of a type that is none of the handler's has no outcome.
      const own = odd.filter(({ headers }) => {
        const type = headers.findLast((one) => one.ce_type)?.ce_type;
        return type === undefined || String(type) === "test.counted";
      });
      const waiting = async () =>
        (await sql`select count(*)::int as n from outrider.parked where state = 'due'`)[0]?.n;
      await until(async () => (await waiting()) === 0, {
        what: "every outcome",
        timeoutMs: 60_000,
      });
      const found = await states();
      expect(found.parked).toBeUndefined();
      expect((found.handled ?? 0) + (found.dead ?? 0)).toBe(own.length + 1);
      expect(found[state]).toBeGreaterThan(own.length / 2);
      expect(await countOf("dead_letters")).toBe(found.dead ?? 0);
      expect(await ofKey("sound")).toEqual([1]);
    }, 90_000);
  }
});

test("a handler emits what a foreign record causes, whatever that says of its chain", async () => {
  const handler = defineHandler({
    ...{ name, on: [definition], retry: { ...quick, attemptsMax: 1 } },
    run: async (event, { emit }) => {
      const origin = { id: Bun.randomUUIDv7(), occurredAt: new Date(), cause: event };
      emit(definition.create({ key: "effect", n: 1 }, origin));
    },
  });
  const names = ["traceparent", "ce_correlationid", "ce_causationid", "ce_tenant"] as const;
  const values = ["a\0", "\ud800", Buffer.from([0xed, 0xa0, 0x80]), "x".repeat(2_000_000), "sound"];
  const records = values.map((value, n) => {
    const record = recordAt(count(`cause-${n}`, 1), { topic, offset: n });
    const chain = names.map((header) => ({ [header]: Buffer.from(value as string) }));
    return { ...record, headers: [...record.headers, ...chain] };
  });
  await resolved(feed(handler, records));
  expect(await states()).toEqual({ handled: values.length });
  const written = await sql<{ headers: Record<string, string> }[]>`
    select headers from outrider.outbox where key = 'effect' order by id`;
  const replaced = "\ufffd";
  expect(written.map(({ headers }) => headers.ce_tenant)).toEqual([
    ...[undefined, replaced, undefined, undefined, "sound"],
  ]);
});

describe("an outcome that Postgres refuses", () => {
  const refuse = async (constraint: string, act: () => Promise<void>): Promise<void> => {
    await db.$client.unsafe(
      `alter table outrider.dead_letters add constraint refused ${constraint}`,
    );
    try {
      await act();
    } finally {
      await db.$client.unsafe("alter table outrider.dead_letters drop constraint refused");
    }
  };
  const letters = async () =>
    (
      await sql`
        select code, message, payload, headers, skipped from outrider.dead_letters order by id`
    ).map((row) => ({ ...row }));

  for (const onBury of ["hold", "skip"] as const) {
    test(`is a letter with the bytes and the reason; others go on (${onBury})`, async () => {
      await refuse("check (sequence is null)", async () => {
        const handler = handlerOf(({ data }) => data.key === "a" && fault("invalid", "no"), {
          onBury,
        });
        startRunning(handler);
        const records = recordsOf("a1 b1 a2 b2");
        await resolved(feed(handler, records));
        await until(async () => (await countOf("inbox")) === 4, { what: "four outcomes" });
        expect(await ofKey("b")).toEqual([1, 2]);
        const found = await letters();
        expect(found).toHaveLength(onBury === "hold" ? 1 : 2);
        expect(found[0]).toMatchObject({
          ...{ code: "OUTCOME_REFUSED", skipped: onBury === "skip" },
          payload: records[0]?.value,
        });
        expect(found[0]?.message).toStartWith("Postgres refuses its outcome: 23514: new row for");
        const { ce_id: id } = headerTexts(records[0]?.headers ?? []);
        expect(found[0]?.headers).toContainEqual(["ce_id", { base64: btoa(id ?? "") }]);
        const outcomes = onBury === "hold" ? ["dead", "handled", "parked"] : ["dead", "handled"];
        expect(Object.keys(await states()).sort()).toEqual(outcomes);
      });
    });
  }

  test("of an event that was parked is one, too, and its key goes on behind it", async () => {
    await refuse("check (sequence is null)", async () => {
      const handler = handlerOf(({ data }) => data.n === 1 && boom, {
        onBury: "skip",
        retry: quick,
      });
      startRunning(handler);
      await resolved(feed(handler, recordsOf("a1 a2")));
      await emptied("parked_heads");
      expect(await ofKey("a")).toEqual([2]);
      expect((await letters()).map((one) => one.code)).toEqual(["OUTCOME_REFUSED"]);
    });
  });
});
