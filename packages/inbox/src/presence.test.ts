import { describe, expect, test } from "bun:test";
import { defineEvent } from "@outrider/event";
import type { Log } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import * as v from "valibot";
import { createCounts } from "./counts.ts";
import { defineHandler } from "./handler.ts";
import { startPresence } from "./presence.ts";

const event = defineEvent({
  ...{ type: "test.counted", version: 1, source: "test", category: "domain", topic: "counted" },
  data: v.object({ n: v.number() }),
  key: () => "k",
});
const handlers = [defineHandler({ name: "test.a", on: [event], run: async () => {} })];

/** Stands for Postgres: keeps the stats of each beat, or refuses it. */
const createWorld = () => {
  const beats: Record<string, { handled: number; failed: number; ratePerS: number }>[] = [];
  const logged: string[] = [];
  const world = { isAway: false, tries: 0, left: 0 };
  const client = async (strings: TemplateStringsArray, ...values: unknown[]) => {
    const isLeaving = !strings.join("").includes("insert");
    if (strings.join("").includes("set_config")) return [];
    if (!isLeaving) world.tries += 1;
    if (world.isAway) throw new Error("away");
    if (isLeaving) world.left += 1;
    else beats.push(JSON.parse(String(values.at(-1))));
    return [];
  };
  const sql = Object.assign(client, { begin: (act: (tx: unknown) => unknown) => act(client) });
  const note = (level: string) => () => void logged.push(level);
  const log: Log = {
    child: () => log,
    debug: note("debug"),
    info: note("info"),
    warn: note("warn"),
    error: note("error"),
  };
  const { events, counts } = createCounts(["test.a"], {});
  const worker = { name: "host 1", group: "test", handlers, counts };
  const start = () => startPresence(worker, { sql: sql as unknown as Sql, log }, { beatMs: 20 });
  return { world, beats, logged, events, start };
};

const settled = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await Bun.sleep(1);
};

describe("a worker that says that it is alive", () => {
  test("tells what it has counted, and the rate since it said so last", async () => {
    const { beats, events, start } = createWorld();
    const presence = start();
    await settled(() => beats.length > 0);
    events.onHandled("test.a", 200, 1);
    events.onFailed("test.a");
    await settled(() => beats.length > 1);
    const at = beats.length;
    await settled(() => beats.length > at);
    await presence.stop();
    expect(beats[0]).toEqual({ "test.a": { handled: 0, failed: 0, ratePerS: 0 } });
    expect(beats[1]).toEqual({
      "test.a": { handled: 200, failed: 1, ratePerS: expect.any(Number) },
    });
    // In 20 ms or somewhat more.
    expect(beats[1]?.["test.a"]?.ratePerS).toBeWithin(200, 10_001);
    expect(beats.at(-1)).toEqual({ "test.a": { handled: 200, failed: 1, ratePerS: 0 } });
  });

  test("goes on when the database is away, and loses nothing of what it has counted", async () => {
    const { world, beats, logged, events, start } = createWorld();
    world.isAway = true;
    const presence = start();
    events.onHandled("test.a", 7, 1);
    await settled(() => world.tries > 2);
    world.isAway = false;
    await settled(() => beats.length > 0);
    await presence.stop();
    const stats = { handled: 7, failed: 0, ratePerS: expect.any(Number) };
    expect(beats[0]).toEqual({ "test.a": stats });
    expect(beats[0]?.["test.a"]?.ratePerS).toBeGreaterThan(0);
    expect(new Set(logged)).toEqual(new Set(["debug"]));
  });

  test("takes its leave, and says nothing more", async () => {
    const { world, start } = createWorld();
    const presence = start();
    await settled(() => world.tries > 0);
    await presence.stop();
    const { tries } = world;
    await Bun.sleep(50);
    expect([world.left, world.tries]).toEqual([1, tries]);
  });

  test("ends without a word when the database is away then", async () => {
    const { world, start } = createWorld();
    const presence = start();
    await settled(() => world.tries > 0);
    world.isAway = true;
    await presence.stop();
    expect(world.left).toBe(0);
  });
});

test("what is counted is passed on to those who listen", () => {
  const heard: unknown[] = [];
  const { events, counts } = createCounts(["test.a"], {
    onHandled: (...said) => void heard.push(said),
    onFailure: ({ handler }) => void heard.push(handler),
  });
  events.onHandled("test.a", 3, 1);
  events.onHandled("test.b", 3, 1);
  const at = { topic: "counted", partition: 0, offset: 0 };
  events.onFailure({ handler: "test.a", ...at, attempt: 1, error: new Error("no") });
  expect(heard).toEqual([["test.a", 3, 1], ["test.b", 3, 1], "test.a"]);
  expect([...counts()]).toEqual([["test.a", { handled: 3, failed: 1 }]]);
});
