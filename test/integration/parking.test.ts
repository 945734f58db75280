/** Events whose handler fails: parked with their key, run again, or given up. On real Postgres. */

import { describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { fault, isFault } from "@outrider/event";
import type { KafkaRecord } from "@outrider/event";
import { defineBatchHandler, readParked } from "@outrider/inbox";
import type { Handler, Isolation } from "@outrider/inbox";
import type { HeaderPair } from "@outrider/postgres";
import { discardLetter, redriveLetter } from "@outrider/redrive";
import { sql as query } from "drizzle-orm";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { claimDue } from "../../packages/inbox/src/parking/queue.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { failureOf } from "../support/counted.ts";
import { inProcess } from "../support/in-process.ts";
import { until } from "../support/until.ts";
import {
  useParkingScene,
  topic,
  name,
  db,
  sql,
  deps,
  handlerOf,
  recordsOf,
  feed,
  resolved,
  startRunning,
  effects,
  ofKey,
  countOf,
  states,
  emptied,
  boom,
  definition,
} from "../support/parking-scene.ts";

useParkingScene();

describe("an event that fails", () => {
  test("is parked with the later ones of its key; other keys go on", async () => {
    const handler = handlerOf(({ data }) => data.key === "a" && data.n === 2 && boom);
    await resolved(feed(handler, recordsOf("a1 b1 a2 b2 a3 b3 a4 b4")));
    expect(await ofKey("a")).toEqual([1]);
    expect(await ofKey("b")).toEqual([1, 2, 3, 4]);
    expect(await states()).toEqual({ handled: 5, parked: 3 });
    expect(await countOf("parked_heads")).toBe(1);
    // Only the first of them has been run.
    const rows = await sql`select attempt, message from outrider.parked order by "offset"`;
    expect(rows.map((row) => [row.attempt, row.message])).toEqual([
      [1, "not now"],
      [0, null],
      [0, null],
    ]);
  });

  test("runs again in order with what waits behind it, until nothing does", async () => {
    let failures = 0;
    const handler = handlerOf(({ data }) => data.n === 2 && failures++ < 3 && boom);
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 b1 a2 b2 a3 b3 a4 b4")));
    await emptied("parked_heads");
    expect(await ofKey("a")).toEqual([1, 2, 3, 4]);
    expect(await ofKey("b")).toEqual([1, 2, 3, 4]);
    expect([await states(), await countOf("parked")]).toEqual([{ handled: 8 }, 0]);
  });

  test("tells its attempts to the handler", async () => {
    const attempts: number[] = [];
    const handler = handlerOf((_event, attempt) => {
      attempts.push(attempt);
      return attempt < 4 && boom;
    });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1")));
    await emptied("parked_heads");
    expect(attempts).toEqual([1, 2, 3, 4]);
  });

  test("is not run twice when its records come again", async () => {
    const records = recordsOf("a1 b1 a2 b2 a3");
    let isBroken = true;
    const handler = handlerOf(({ data }) => isBroken && data.key === "a" && boom);
    await resolved(feed(handler, records));
    await resolved(feed(handler, records));
    expect(await countOf("parked")).toBe(3);
    isBroken = false;
    startRunning(handler);
    await emptied("parked_heads");
    await resolved(feed(handler, records));
    expect(await ofKey("a")).toEqual([1, 2, 3]);
    expect(await states()).toEqual({ handled: 5 });
  });

  test("of a handler without an order waits alone", async () => {
    const handler = handlerOf(({ data }) => data.n === 1 && boom, { ordering: "none" });
    await resolved(feed(handler, recordsOf("a1 a2 a3")));
    expect(await ofKey("a")).toEqual([2, 3]);
    expect(await countOf("parked")).toBe(1);
  });

  test("since a dependency is away does not use up its attempts", async () => {
    let failures = 0;
    const away = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    const handler = handlerOf(() => failures++ < 12 && away, {
      retry: { attemptsMax: 2, baseMs: 1, capMs: 1 },
    });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1")));
    await emptied("parked_heads");
    expect([await effects(), await countOf("dead_letters")]).toEqual(["a1", 0]);
  });

  test("is not given up for the time that it has only waited", async () => {
    const away = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    let isAway = true;
    const handler = handlerOf(({ data }) => {
      if (data.n === 1) return fault("invalid", "never");
      const error = isAway && away;
      isAway = false;
      return error;
    });
    await resolved(feed(handler, recordsOf("a1 a2")));
    await sql`update outrider.parked set parked_at = parked_at - interval '2 days'`;
    const [letter] = await sql`select id::float8 as id from outrider.dead_letters`;
    await sql.begin((tx) => discardLetter(tx, { id: letter?.id, by: "ann", reason: "a test" }));
    startRunning(handler);
    await emptied("parked_heads");
    expect([await effects(), await countOf("dead_letters")]).toEqual(["a2", 1]);
  });

  test("is given up when a dependency of it alone is away for too long", async () => {
    const away = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
    const handler = handlerOf(() => away);
    const deliveries = recordsOf("a1").map((one) => createDelivery(one));
    await createWork(deps()).parkUnrun(handler, deliveries);
    startRunning(handler, { transientMaxAgeMs: 50 });
    await until(async () => (await countOf("dead_letters")) === 1, { what: "the letter" });
    const [letter] = await sql`select code from outrider.dead_letters`;
    expect([letter?.code, await states()]).toEqual(["ECONNREFUSED", { dead: 1 }]);
  });

  test("asks for a pause with Retry-After, and gets it", async () => {
    const handler = handlerOf(() => fault("conflict", "later", { retryAfterMs: 3_600_000 }));
    await resolved(feed(handler, recordsOf("a1")));
    const [row] = await sql`
      select extract(epoch from due_at - clock_timestamp())::int as seconds
      from outrider.parked_heads`;
    expect(row?.seconds).toBeGreaterThan(3500);
    await sql`update outrider.parked_heads set created_at = created_at - interval '1 hour'`;
    const [parked] = await readParked(sql, [name]);
    expect(parked?.oldestAgeMs).toBeWithin(3_600_000, 3_660_000);
  });
});

test("keys that are parked share runs of at most a batch", async () => {
  const sizes: number[] = [];
  const run = async (events: readonly unknown[]) => void sizes.push(events.length);
  const handler = defineBatchHandler({ name, on: [definition], batchSizeMax: 2, run });
  const deliveries = recordsOf("a1 b1 c1 d1 e1").map((record) => createDelivery(record));
  await createWork(deps()).parkUnrun(handler, deliveries);
  startRunning(handler);
  await emptied("parked_heads");
  expect(sizes.toSorted()).toEqual([1, 2, 2]);
});

describe("an event that is given up", () => {
  test("holds its key, and is a letter with everything in it", async () => {
    const handler = handlerOf(({ data }) => data.n === 1 && data.key === "a" && boom);
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 b1 a2 b2 a3")));
    await until(async () => (await countOf("dead_letters")) === 1, { what: "the letter" });
    await delay(50);
    expect(await effects()).toBe("b1 b2");
    expect(await states()).toEqual({ handled: 2, parked: 2, dead: 1 });
    expect(await readParked(sql, [name])).toEqual([
      { handler: name, keys: 1, held: 1, events: 3, oldestAgeMs: 0 },
    ]);
    const [letter] = await sql`select * from outrider.dead_letters`;
    expect(letter).toMatchObject({
      ...{ origin: "handler", handler: name, state: "open", topic, partition: 0, offset: "0" },
      ...{ attempts: 5, code: "Error", message: "not now", skipped: false, type: "test.counted" },
      ...{ version: 1, sequence: "1" },
    });
    expect(JSON.parse(letter?.payload).n).toBe(1);
    expect(letter?.fingerprint).toMatch(/^test\.handler \| Error \| not now/);
  });

  test("is passed over with the policy skip, which the letter says", async () => {
    const handler = handlerOf(({ data }) => data.n === 1 && boom, { onBury: "skip" });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 a2 a3")));
    await emptied("parked_heads");
    expect(await ofKey("a")).toEqual([2, 3]);
    const letters = await sql`select skipped from outrider.dead_letters`;
    expect(letters.map((row) => row.skipped)).toEqual([true]);
  });

  test("at once, when trying again cannot help: its bytes are kept as they came", async () => {
    const handler = handlerOf(() => undefined);
    const [first, ...rest] = recordsOf("a1 a2 b1") as [KafkaRecord, ...KafkaRecord[]];
    const bytes = Buffer.from([0x7b, 0x00, 0xff]);
    await resolved(feed(handler, [{ ...first, value: bytes }, ...rest]));
    expect(await effects()).toBe("b1");
    const [letter] = await sql`select code, payload, attempts from outrider.dead_letters`;
    expect(letter).toMatchObject({ code: "undecodable", attempts: 1 });
    expect(Buffer.from(letter?.payload).equals(bytes)).toBe(true);
    expect(await states()).toEqual({ handled: 1, parked: 1, dead: 1 });
  });
});

test("a record's headers stay as they came: parked, as a letter, and parked again", async () => {
  const [first] = recordsOf("a1") as [KafkaRecord];
  const bytes = Buffer.from([0, 255]);
  const more = [{ hop: Buffer.from("1") }, { hop: Buffer.from("2") }, { hop: bytes }];
  const handler = handlerOf(() => boom, { onBury: "skip", retry: { attemptsMax: 2 } });
  await resolved(feed(handler, [{ ...first, headers: [...first.headers, ...more] }]));
  const hops = async (table: string) => {
    const rows = await sql.unsafe<{ headers: HeaderPair[] }[]>(
      `select headers from outrider.${table}`,
    );
    return rows.flatMap((row) => row.headers).filter(([header]) => header === "hop");
  };
  const expected = [
    ["hop", "1"],
    ["hop", "2"],
    ["hop", { base64: bytes.toString("base64") }],
  ];
  expect<unknown>(await hops("parked")).toEqual(expected);
  const runner = startRunning(handler);
  await emptied("parked");
  await runner.stop(100);
  expect<unknown>(await hops("dead_letters")).toEqual(expected);
  const [letter] = await sql`select id::float8 as id from outrider.dead_letters`;
  await sql.begin((tx) => redriveLetter(tx, { id: letter?.id, by: "ann", reason: "a test" }));
  expect<unknown>(await hops("parked")).toEqual(expected);
});

describe("a letter", () => {
  const who = { by: "ann", reason: "a test" };
  const letter = () =>
    until(
      async () => {
        const [row] = await sql`select id::float8 as id from outrider.dead_letters`;
        return row?.id as number | undefined;
      },
      { what: "the letter" },
    );

  /** a1 is dead, a2 and a3 wait behind it, or have gone on. */
  const bury = async (onBury: "hold" | "skip") => {
    const world = { isBroken: true };
    const handler = handlerOf(({ data }) => world.isBroken && data.n === 1 && boom, { onBury });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1 a2 a3")));
    const id = await letter();
    if (onBury === "skip") await emptied("parked_heads");
    return { id, world };
  };

  test("that is redriven runs at its place, then what waits behind it", async () => {
    const { id, world } = await bury("hold");
    world.isBroken = false;
    await sql.begin((tx) => redriveLetter(tx, { id, ...who }));
    await emptied("parked_heads");
    expect([await ofKey("a"), await states()]).toEqual([[1, 2, 3], { handled: 3 }]);
    const [row] = await sql`select state, closed_by, reason from outrider.dead_letters`;
    expect(row).toMatchObject({ state: "redriven", closed_by: "ann", reason: "a test" });
  });

  test("that is redriven in vain is open again, and holds its key again", async () => {
    const { id } = await bury("hold");
    await sql.begin((tx) => redriveLetter(tx, { id, ...who }));
    const isOpen = async () =>
      (await sql`select from outrider.dead_letters where state = 'open'`).length === 1;
    await until(isOpen, { what: "the letter to be open" });
    expect([await effects(), await states()]).toEqual(["", { dead: 1, parked: 2 }]);
    const [row] = await sql`select attempts from outrider.dead_letters`;
    expect(row?.attempts).toBe(10);
  });

  test("that is edited runs as a new event at the old place", async () => {
    const { id } = await bury("hold");
    const eventId = "01a1fd9c-dbf5-763f-9075-add4726ffcad";
    const payload = Buffer.from(JSON.stringify({ key: "a", n: 0 }));
    await sql.begin((tx) => redriveLetter(tx, { id, ...who, edit: { eventId, payload } }));
    await emptied("parked_heads");
    expect([await ofKey("a"), await states()]).toEqual([[0, 2, 3], { handled: 3, dead: 1 }]);
    const [row] = await sql`select replaced_by from outrider.dead_letters`;
    expect(row?.replaced_by).toBe(eventId);
  });

  test("that is discarded stays out, and what waits behind it runs", async () => {
    const { id } = await bury("hold");
    await sql.begin((tx) => discardLetter(tx, { id, ...who }));
    await emptied("parked_heads");
    expect([await ofKey("a"), await states()]).toEqual([[2, 3], { handled: 2, dead: 1 }]);
  });

  test("that was skipped runs late, and not beside somebody who runs its key", async () => {
    const { id, world } = await bury("skip");
    world.isBroken = false;
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const running = db.transaction(async (tx) => {
      await tx.execute(query`
        insert into outrider.inbox (handler, event_id, state, topic, partition, "offset")
        values (${name}, '00000000-0000-4000-8000-000000000001', 'handled', ${topic}, 0, 9)`);
      begun.resolve();
      await gate.promise;
    });
    await begun.promise;
    await sql.begin((tx) => redriveLetter(tx, { id, ...who }));
    await delay(100);
    expect(await ofKey("a")).toEqual([2, 3]);
    gate.resolve();
    await running;
    await emptied("parked_heads");
    expect(await ofKey("a")).toEqual([2, 3, 1]);
  });

  test("is decided about once", async () => {
    const { id } = await bury("hold");
    const both = await Promise.allSettled([
      sql.begin((tx) => redriveLetter(tx, { id, ...who })),
      sql.begin((tx) => discardLetter(tx, { id, ...who })),
    ]);
    expect(both.map((one) => one.status).sort()).toEqual(["fulfilled", "rejected"]);
    const refused = both.find((one) => one.status === "rejected");
    expect(isFault(refused?.reason, "conflict")).toBe(true);
    const unknown = sql.begin((tx) => redriveLetter(tx, { id: 999_999, ...who }));
    expect(isFault(await failureOf(unknown), "not_found")).toBe(true);
  });
});

describe("an event that ends its process", () => {
  /** Claims whose workers are not heard of again. */
  const lose = async (times: number): Promise<void> => {
    for (let left = times; left > 0; left -= 1) {
      await sql.begin((tx) => claimDue(tx, [name], { claimMs: 1, headsMax: 10 }));
      await delay(5);
    }
  };
  const parkUnrun = (handler: Handler, text: string) =>
    createWork(deps()).parkUnrun(
      handler,
      recordsOf(text).map((record) => createDelivery(record)),
    );

  test("runs in another process, at last alone, and is given up when two have ended", async () => {
    const handler = handlerOf(() => undefined);
    await parkUnrun(handler, "a1 a2 b1");
    expect([await effects(), await states()]).toEqual(["", { parked: 3 }]);
    await lose(1);
    const runs: string[] = [];
    const alive = inProcess(deps());
    startRunning(handler, {
      isolation: {
        ...alive,
        run: (claims, of, how) => {
          const rows = claims.flatMap((claim) => claim.rows);
          const names = rows.map((row) => `${row.record.key}${row.record.offset}`);
          runs.push(`${names.toSorted().join()}${how.inFresh ? " fresh" : ""}`);
          return names.includes("a0")
            ? Promise.resolve({ kind: "killed" } as const)
            : alive.run(claims, of, how);
        },
      },
    });
    await until(async () => (await countOf("dead_letters")) === 1, { what: "the letter" });
    await until(async () => (await ofKey("b")).length === 1, { what: "the innocent one" });
    const [letter] = await sql`select code, sequence::int as n from outrider.dead_letters`;
    expect(letter).toEqual({ code: "PROCESS_KILLED", n: 1 });
    expect(runs.toSorted()).toEqual(["a0", "a0 fresh", "a0,b2", "b2"]);
    // What it was claimed with is free of suspicion when its turn comes, but not before.
    expect(await ofKey("a")).toEqual([]);
  });

  test("costs nothing when it could not be started", async () => {
    const handler = handlerOf(() => undefined);
    await parkUnrun(handler, "a1");
    await lose(1);
    let tries = 0;
    const alive = inProcess(deps());
    const run: Isolation["run"] = (...claimed) => {
      tries += 1;
      return tries > 5 ? alive.run(...claimed) : Promise.resolve({ kind: "unrun" });
    };
    startRunning(handler, { isolation: { ...alive, run } });
    await emptied("parked_heads");
    expect([tries, await ofKey("a")]).toEqual([6, [1]]);
  });

  test("is given up where its workers end with it, again and again", async () => {
    const handler = handlerOf(() => undefined);
    await parkUnrun(handler, "a1");
    await lose(10);
    startRunning(handler);
    await until(async () => (await countOf("dead_letters")) === 1, { what: "the letter" });
    expect(await ofKey("a")).toEqual([]);
  });
});

const noProcess: Isolation = {
  run: () => Promise.reject(new Error("nothing is suspect here")),
  stop: async () => {},
};

test("an outcome is stored when the database is back, under the claim of before", async () => {
  const [record] = recordsOf("a1") as [KafkaRecord];
  let isAway = false;
  let refused = 0;
  const flaky = new Proxy(sql, {
    get: (target, property, receiver) => {
      if (property !== "begin" || !isAway) return Reflect.get(target, property, receiver);
      refused += 1;
      if (refused === 3) isAway = false;
      return () => Promise.reject(Object.assign(new Error("away"), { code: "ECONNREFUSED" }));
    },
  });
  await resolved(
    feed(
      handlerOf(() => boom),
      [record],
    ),
  );
  const attempts: number[] = [];
  const handler = handlerOf((_, attempt) => {
    attempts.push(attempt);
    isAway = attempts.length === 1;
    return attempts.length === 1 ? boom : undefined;
  });
  // The claim runs out meanwhile, which is no reason to suspect the event.
  startRunning(handler, { sql: flaky, claimMs: 20, isolation: noProcess });
  await emptied("parked_heads");
  expect([refused, attempts]).toEqual([3, [2, 3]]);
});
