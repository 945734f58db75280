/** Many dead letters at once: found, previewed, redriven as one operation. On real Postgres. */

import { describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { isFault } from "@outrider/event";
import type { Handler } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import { cancelRedrive, createRedrive, discardLetter, driveRedrive } from "@outrider/redrive";
import { pauseRedrive, previewRedrive, readRedrive, resumeRedrive } from "@outrider/redrive";
import type { RedriveOptions } from "@outrider/redrive";
import { failureOf } from "../support/counted.ts";
import { sceneBehind } from "../support/intercept.ts";
import {
  boom,
  countOf,
  emptied,
  feed,
  handlerOf,
  ofKey,
  recordsOf,
  resolved,
  sql,
  startRunning,
  states,
  useParkingScene,
} from "../support/parking-scene.ts";
import { silentLog } from "../support/silent-log.ts";
import { until } from "../support/until.ts";

useParkingScene();

const who = { by: "ann", reason: "a test" };
const keys = (count: number): string[] =>
  Array.from({ length: count }, (_, n) => String.fromCharCode(97 + n));

type World = { isBroken: boolean };

/** The first event of each key is dead; with `hold` one waits behind each, else it has run. */
const bury = async (
  count: number,
  onBury: "hold" | "skip" = "hold",
): Promise<Readonly<{ world: World; handler: Handler }>> => {
  const world = { isBroken: true };
  const handler = handlerOf(({ data }) => world.isBroken && data.n === 1 && boom, {
    onBury,
    retry: { attemptsMax: 1 },
  });
  const names = keys(count).flatMap((key) => [`${key}1`, `${key}2`]);
  await resolved(feed(handler, recordsOf(names.join(" "))));
  await until(async () => (await countOf("dead_letters")) === count, { what: "the letters" });
  return { world, handler };
};

const create = (options: Partial<RedriveOptions> = {}) =>
  sql.begin((tx) => createRedrive(tx, {}, { ...who, ratePerS: 10_000, ...options }));
const drive = (id: number, client: Sql = sql) =>
  driveRedrive(client, id, {
    ...{ log: silentLog, random: () => 0, checkMs: 20 },
    signal: AbortSignal.timeout(20_000),
  });
const settled = (id: number) =>
  until(async () => (await readRedrive(sql, id)).pending === 0, { what: "all outcomes" });
const redrivenOnce = async (): Promise<number[]> =>
  (
    await sql`
      select count(*)::int as times from outrider.dead_letter_history
      where action = 'redriven' group by letter`
  ).map((row) => row.times);

describe("a preview", () => {
  test("says what would happen, and changes nothing", async () => {
    const { handler } = await bury(3);
    const before = await sql`select * from outrider.dead_letters order by id`;
    const preview = await previewRedrive(sql, {}, ({ key }) =>
      key === "b" ? "no such type" : undefined,
    );
    expect(preview).toEqual({
      ...{ letters: 3, keys: 3, waiting: 3, handled: 0 },
      groups: [{ handler: handler.name, topic: "counted", code: "Error", letters: 3 }],
      outOfOrder: { letters: 0, keys: 0 },
      undecodable: { letters: 1, examples: [{ id: expect.any(Number), why: "no such type" }] },
    });
    expect([...(await sql`select * from outrider.dead_letters order by id`)]).toEqual([...before]);
  });

  test("says whose keys have gone on, and what has been handled", async () => {
    const { handler } = await bury(2, "skip");
    const [letter] = await sql`select event_id as "eventId" from outrider.dead_letters limit 1`;
    await sql`
      update outrider.inbox set state = 'handled'
      where handler = ${handler.name} and event_id = ${letter?.eventId}`;
    const preview = await previewRedrive(sql, {}, () => undefined);
    expect(preview).toMatchObject({ outOfOrder: { letters: 2, keys: 2 }, handled: 1, waiting: 0 });
  });
});

describe("a redrive", () => {
  test("runs all letters that match, each with what waits behind it", async () => {
    const { world, handler } = await bury(10);
    world.isBroken = false;
    startRunning(handler);
    const id = await create();
    expect(await drive(id)).toBe("done");
    await emptied("parked_heads");
    expect(await readRedrive(sql, id)).toMatchObject({
      ...{ state: "done", total: 10, redriven: 10, handled: 10, failed: 0, waiting: 0 },
      ...{ by: "ann", reason: "a test", refused: 0 },
    });
    expect(await states()).toEqual({ handled: 20 });
    for (const key of keys(10)) expect(await ofKey(key)).toEqual([1, 2]);
    expect(await redrivenOnce()).toEqual(Array.from({ length: 10 }, () => 1));
  });

  test("takes its letters when it is made, and none that come later", async () => {
    const { handler } = await bury(2);
    const id = await create({ canary: 0, failuresMax: 100 });
    await resolved(feed(handler, recordsOf("x1")));
    expect(await drive(id)).toBe("done");
    expect((await readRedrive(sql, id)).total).toBe(2);
  });

  test("tries the first ones, and the others only when those have been handled", async () => {
    const { world, handler } = await bury(6);
    startRunning(handler);
    const id = await create({ canary: 2 });
    expect(await drive(id)).toBe("paused");
    await settled(id);
    const paused = await readRedrive(sql, id);
    expect(paused).toMatchObject({ redriven: 2, waiting: 4, changedBy: null });
    expect(paused.message).toMatch(/^[12] of the first 2 were given up again$/);
    world.isBroken = false;
    await sql.begin((tx) => resumeRedrive(tx, id, { by: "ben" }));
    expect(await drive(id)).toBe("done");
    await settled(id);
    expect(await readRedrive(sql, id)).toMatchObject({ handled: 4, failed: 2, waiting: 0 });
    // What has failed again is open again, and another redrive takes it.
    const again = await create();
    expect(await drive(again)).toBe("done");
    await emptied("parked_heads");
    expect(await states()).toEqual({ handled: 12 });
  });

  test("waits for the first ones while they are under way", async () => {
    const { world, handler } = await bury(3);
    world.isBroken = false;
    const id = await create();
    const driving = drive(id);
    await until(async () => (await readRedrive(sql, id)).redriven > 0, { what: "the first one" });
    // Longer than it would take to go on.
    await delay(300);
    expect(await readRedrive(sql, id)).toMatchObject({ redriven: 1, pending: 1, waiting: 2 });
    startRunning(handler);
    expect(await driving).toBe("done");
  });

  test("pauses itself when too many are given up again", async () => {
    const { handler } = await bury(20);
    startRunning(handler);
    const id = await create({ canary: 0, failuresMax: 3, ratePerS: 5 });
    expect(await drive(id)).toBe("paused");
    const { message, failed, waiting } = await readRedrive(sql, id);
    expect(message).toMatch(/^\d+ events were given up again$/);
    expect(failed).toBeGreaterThanOrEqual(3);
    expect(waiting).toBeGreaterThan(0);
  });

  test("keeps to its rate, however many drive it", async () => {
    await bury(20);
    const id = await create({ canary: 0, ratePerS: 40, failuresMax: 100 });
    const startedMs = performance.now();
    expect(await Promise.all([drive(id), drive(id), drive(id)])).toEqual(["done", "done", "done"]);
    // 19 pauses of 25 ms, of which it may catch up 100 ms.
    expect(performance.now() - startedMs).toBeGreaterThan(19 * 25 - 100);
    expect(await redrivenOnce()).toEqual(Array.from({ length: 20 }, () => 1));
  });

  test("is paused, resumed and cancelled, and says when it cannot be", async () => {
    await bury(5);
    const id = await create({ canary: 0, ratePerS: 1 });
    const driving = drive(id);
    await until(async () => (await readRedrive(sql, id)).redriven > 0, { what: "the first one" });
    await sql.begin((tx) => pauseRedrive(tx, id, { by: "ben" }));
    expect(await driving).toBe("paused");
    expect(await drive(id)).toBe("paused");
    const twice = sql.begin((tx) => pauseRedrive(tx, id, { by: "ben" }));
    expect(isFault(await failureOf(twice), "conflict")).toBe(true);
    await sql.begin((tx) => cancelRedrive(tx, id, { by: "ben", message: "enough" }));
    expect(await drive(id)).toBe("cancelled");
    const redrive = await readRedrive(sql, id);
    expect(redrive).toMatchObject({ state: "cancelled", changedBy: "ben", message: "enough" });
    expect(redrive.waiting).toBeGreaterThan(0);
    const late = sql.begin((tx) => resumeRedrive(tx, id, { by: "ben" }));
    expect(isFault(await failureOf(late), "conflict")).toBe(true);
    expect(isFault(await failureOf(readRedrive(sql, 999_999)), "not_found")).toBe(true);
  });

  test("leaves what somebody else has decided, and goes on", async () => {
    await bury(3);
    const id = await create({ canary: 0 });
    const [second] = await sql`
      select letter::float8 as id from outrider.redrive_items where position = 2`;
    await sql.begin((tx) => discardLetter(tx, { id: second?.id, by: "ben", reason: "mine" }));
    expect(await drive(id)).toBe("done");
    expect(await readRedrive(sql, id)).toMatchObject({ redriven: 2, refused: 1 });
    const [item] = await sql`select message from outrider.redrive_items where position = 2`;
    expect(item?.message).toMatch(/^Dead letter \d+ is discarded, by ben at /);
  });

  test("of nothing is refused", async () => {
    expect(isFault(await failureOf(create()), "not_found")).toBe(true);
    expect(await countOf("redrives")).toBe(0);
  });

  test("of many letters of one key runs them in the order of their log", async () => {
    const world = { isBroken: true };
    const handler = handlerOf(() => world.isBroken && boom, {
      onBury: "skip",
      retry: { attemptsMax: 1 },
    });
    const names = Array.from({ length: 50 }, (_, n) => `a${n + 1}`);
    await resolved(feed(handler, recordsOf(names.join(" "))));
    world.isBroken = false;
    const id = await create({ canary: 0 });
    expect(await drive(id)).toBe("done");
    startRunning(handler);
    await emptied("parked_heads");
    expect(await ofKey("a")).toEqual(Array.from({ length: 50 }, (_, n) => n + 1));
  });
});

test("a redrive goes on exactly where its process has ended, at whatever statement", async () => {
  const { world, handler } = await bury(4);
  world.isBroken = false;
  startRunning(handler);
  const id = await create({ canary: 1 });
  let ends = 0;
  for (let isOver = false; !isOver; ends += 1) {
    // Each time a statement later, before it is sent or when its answer is lost.
    let left = Math.floor(ends / 2) % 40;
    const died = new Error("the process ended here");
    const around = async <T>(run: () => Promise<T>): Promise<T> => {
      left -= 1;
      if (left < 0 && ends % 2 === 0) throw died;
      const result = await run();
      if (left < 0) throw died;
      return result;
    };
    const dying = new AbortController();
    const log = { warn: () => dying.abort() };
    const state = await driveRedrive(sceneBehind({ around }).sql, id, {
      ...{ log, random: () => 0, signal: dying.signal },
    });
    isOver = state === "done";
    expect(ends).toBeLessThan(200);
  }
  await emptied("parked_heads");
  expect(ends).toBeGreaterThan(30);
  expect(await redrivenOnce()).toEqual([1, 1, 1, 1]);
  expect(await states()).toEqual({ handled: 8 });
  for (const key of keys(4)) expect(await ofKey(key)).toEqual([1, 2]);
});
