/** Handlers whose events fail one after the other, held back for all workers. On real Postgres. */

import { afterEach, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import { defineHandler } from "@outrider/inbox";
import type { Handler } from "@outrider/inbox";
import { breakerDefaults, createBreakers } from "../../packages/inbox/src/breaker.ts";
import type { Breakers } from "../../packages/inbox/src/breaker.ts";
import { closedBreakers } from "../support/closed-breakers.ts";
import { sceneBehind } from "../support/intercept.ts";
import {
  boom,
  countOf,
  definition,
  effects,
  feed,
  handlerOf,
  name,
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

let workers: Breakers[] = [];

/** As another worker would have them. */
const breakersOf = (): Breakers => {
  const limits = { ...breakerDefaults, openMs: 20, openCapMs: 40, breakerPollMs: 5, probeMs: 500 };
  const one = createBreakers([name], { sql, log: silentLog }, limits);
  workers.push(one);
  return one;
};

afterEach(async () => {
  await Promise.all(workers.map((one) => one.stop()));
  workers = [];
  await sql`truncate outrider.breakers`;
});

const keys = "abcdefghijklmnopqrstuvwxyz".split("");
const oneEach = (): string => keys.map((key) => `${key}1`).join(" ");

/** A handler whose dependency is away until it is told otherwise. */
const dependent = (): Readonly<{ handler: Handler; back(): void; runs(): number }> => {
  let isAway = true;
  let runs = 0;
  const handler = handlerOf(() => {
    runs += 1;
    return isAway ? fault("unavailable", "the dependency is away") : undefined;
  });
  return { handler, back: () => (isAway = false), runs: () => runs };
};

test("while it is away events wait in their partition, and all are handled later", async () => {
  const { handler, back, runs } = dependent();
  const breakers = breakersOf();
  const partition = feed(handler, recordsOf(oneEach()), { breakers, isAlone: true });
  startRunning(handler, { breakers });
  await until(() => breakers.isOpen(name), { what: "the open breaker" });
  await delay(300);
  // Few were parked before it opened, and one is tried now and then.
  expect(await countOf("parked")).toBeLessThan(8);
  expect(partition.unresolved()).toBeGreaterThan(15);
  expect(runs()).toBeLessThan(50);
  back();
  await resolved(partition);
  await until(async () => (await countOf("parked_heads")) === 0, { what: "an empty queue" });
  expect((await effects()).split(" ")).toHaveLength(26);
  expect([breakers.isOpen(name), await countOf("dead_letters")]).toEqual([false, 0]);
});

test("beside others of its group its events are parked and count for nobody", async () => {
  const { handler, back } = dependent();
  const breakers = breakersOf();
  const partition = feed(handler, recordsOf(oneEach()), { breakers, isAlone: false });
  startRunning(handler, { breakers });
  await resolved(partition);
  const rows = await sql`select attempt from outrider.parked where attempt > 0`;
  expect([rows.length, await states()]).toEqual([0, { parked: 26 }]);
  await delay(100);
  expect(await countOf("parked")).toBe(26);
  back();
  await until(async () => (await countOf("parked_heads")) === 0, { what: "an empty queue" });
  expect((await effects()).split(" ")).toHaveLength(26);
});

test("other workers hold the handler back, too, and one of them tries at a time", async () => {
  const [one, other] = [breakersOf(), breakersOf()];
  const failure = { kind: "transient", code: "unavailable", message: "away" } as const;
  for (const key of ["a", "b", "c", "a", "b"]) await one.failed(name, key, failure);
  await until(() => other.isOpen(name), { what: "the other one's breaker" });
  await delay(30);
  const tries = await Promise.all([one.tryProbe(name), other.tryProbe(name), one.tryProbe(name)]);
  expect(tries.filter(Boolean)).toHaveLength(1);
  const [prober, waiting] = tries[1] ? [other, one] : [one, other];
  expect(await waiting.tryProbe(name)).toBe(false);
  await prober.failed(name, "a", failure);
  expect(prober.open()).toMatchObject([{ handler: name, opened: 2, code: "unavailable" }]);
  expect(await prober.tryProbe(name)).toBe(false);
  const ended = new AbortController();
  expect(await waiting.admit(name, ended.signal)).toBe("one");
  await waiting.yield(name);
  expect(await prober.admit(name, ended.signal)).toBe("one");
  await prober.succeeded(name);
  expect(prober.isOpen(name)).toBe(false);
  await until(() => !waiting.isOpen(name), { what: "the closed breaker" });
  expect(await waiting.admit(name, ended.signal)).toBe("all");
});

test("whoever tries and is not heard of again leaves the try to another worker", async () => {
  const [one, other] = [breakersOf(), breakersOf()];
  const failure = { kind: "retryable", code: "Error", message: "broken" } as const;
  for (const key of keys.slice(0, 5)) await one.failed(name, key, failure);
  const ended = new AbortController();
  expect(await one.admit(name, ended.signal)).toBe("one");
  const startedMs = performance.now();
  expect(await other.admit(name, ended.signal)).toBe("one");
  expect(performance.now() - startedMs).toBeGreaterThan(400);
});

test("a waiting lane ends when it is told to", async () => {
  const breakers = breakersOf();
  const failure = { kind: "retryable", code: "Error", message: "broken" } as const;
  for (const key of keys.slice(0, 5)) await breakers.failed(name, key, failure);
  const ended = new AbortController();
  expect(await breakers.admit(name, ended.signal)).toBe("one");
  const waiting = breakers.admit(name, ended.signal);
  ended.abort();
  expect(await waiting).toBeUndefined();
});

test("what is claimed is run, though nobody can say what is due of another handler", async () => {
  const held = defineHandler({ name: "test.held", on: [definition], run: async () => {} });
  await resolved(
    feed(
      handlerOf(() => boom),
      recordsOf("a1"),
    ),
  );
  const rewrite = (statement: string) => statement.replace("as asked (handler)", "as nonsense");
  const breakers = { ...closedBreakers, isOpen: (handler: string) => handler === held.name };
  const handler = handlerOf(() => undefined);
  startRunning(handler, { scene: sceneBehind({ rewrite }), breakers, others: [held] });
  await until(async () => (await effects()) === "a1", { what: "the event", timeoutMs: 2000 });
});
