/** What is kept of runs that have failed. On real Postgres. */

import { describe, expect, test } from "bun:test";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import type { Handler, Isolation } from "@outrider/inbox";
import { createDelivery } from "../../packages/inbox/src/delivery.ts";
import { createWork } from "../../packages/inbox/src/work.ts";
import { claimAll, claimOne, runClaimed } from "../support/actors.ts";
import { inProcess } from "../support/in-process.ts";
import {
  boom,
  countOf,
  deps,
  emptied,
  feed,
  handlerOf,
  name,
  ofKey,
  recordsOf,
  resolved,
  sql,
  startRunning,
  useParkingScene,
} from "../support/parking-scene.ts";
import { until } from "../support/until.ts";

useParkingScene();

const away = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });

/** In their order: `place attempt kind code`, with the record's offset as its place. */
const attempts = async (): Promise<string[]> => {
  const rows = await sql`
    select i."offset", f.attempt, f.kind, f.code, f.handler
    from outrider.failed_attempts f join outrider.inbox i using (handler, event_id) order by f.id`;
  expect(rows.every((row) => row.handler === name)).toBe(true);
  return rows.map((row) => `${row.offset} ${row.attempt ?? "-"} ${row.kind} ${row.code}`);
};
const parkUnrun = (handler: Handler, text: string) =>
  createWork(deps()).parkUnrun(
    handler,
    recordsOf(text).map((record) => createDelivery(record)),
  );
const buried = () =>
  until(async () => (await countOf("dead_letters")) === 1, { what: "the letter", pollMs: 5 });

describe("an event that fails", () => {
  test("leaves a row for each of its runs, with a number for those that count", async () => {
    const errors = [boom, away, boom, boom];
    const handler = handlerOf(() => errors.shift());
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1")));
    await emptied("parked_heads");
    expect(await attempts()).toEqual([
      "0 1 retryable Error",
      "0 - transient ECONNREFUSED",
      "0 2 retryable Error",
      "0 3 retryable Error",
    ]);
    expect(await ofKey("a")).toEqual([1]);
    const [row] = await sql`select message, at > now() - interval '1 minute' as new
      from outrider.failed_attempts limit 1`;
    expect({ ...row }).toEqual({ message: "not now", new: true });
  });

  test("has as many as its letter says when it is given up", async () => {
    const handler = handlerOf(() => boom, { retry: { attemptsMax: 3, baseMs: 1, capMs: 1 } });
    startRunning(handler);
    await resolved(feed(handler, recordsOf("a1")));
    await buried();
    const [letter] = await sql`select attempts from outrider.dead_letters`;
    expect(letter?.attempts).toBe(3);
    expect(await attempts()).toEqual([1, 2, 3].map((n) => `0 ${n} retryable Error`));
  });

  test("has one when no retry can help, at its first delivery or later", async () => {
    const handler = handlerOf(({ data }) => fault(data.n === 1 ? "invalid" : "malformed", "no"), {
      onBury: "skip",
    });
    await resolved(feed(handler, recordsOf("a1")));
    expect(await attempts()).toEqual(["0 1 fatal invalid"]);
    await parkUnrun(handler, "a0 a2");
    startRunning(handler);
    await emptied("parked_heads");
    expect((await attempts()).slice(1)).toEqual(["0 1 fatal malformed", "1 1 fatal malformed"]);
  });

  test("is not blamed for its batch: what ran beside it leaves nothing", async () => {
    const handler = handlerOf(({ data }) => data.key === "b" && boom);
    await resolved(feed(handler, recordsOf("a1 b1 c1 a2 b2")));
    expect(await attempts()).toEqual(["1 1 retryable Error"]);
  });

  test("is not blamed for those of its key that it ran with", async () => {
    let runs = 0;
    const handler = handlerOf(({ data }) => data.n === 2 && (runs += 1) === 1 && boom);
    await parkUnrun(handler, "a1 a2 a3");
    startRunning(handler);
    await emptied("parked_heads");
    expect([await attempts(), await ofKey("a")]).toEqual([[], [1, 2, 3]]);
  });

  test("leaves nothing when somebody else has its claim by now", async () => {
    const handler = handlerOf(() => boom);
    await parkUnrun(handler, "a1");
    const [claim] = await claimAll(sql, 1);
    await delay(5);
    await claimOne();
    if (claim) await runClaimed(claim, handler);
    expect([await attempts(), claim?.rows.length]).toEqual([[], 1]);
  });

  test("has an outcome whatever its error says, also what is no text for Postgres", async () => {
    const handler = handlerOf(() => new Error("zero \0 in it"), { retry: { attemptsMax: 1 } });
    await resolved(feed(handler, recordsOf("a1")));
    expect(await attempts()).toEqual(["0 1 retryable Error"]);
    const [letter] = await sql`select message from outrider.dead_letters`;
    expect(letter?.message).toBe("zero \uFFFD in it");
  });

  test("leaves a message that is cut, however long it was", async () => {
    const handler = handlerOf(() => new Error("x".repeat(10_000)));
    await resolved(feed(handler, recordsOf("a1")));
    const [row] = await sql`select length(message) as chars from outrider.failed_attempts`;
    expect(row?.chars).toBe(4000);
  });
});

describe("an event that its process may have died of", () => {
  const suspected = async (isolation: Isolation, lost = 1): Promise<void> => {
    await parkUnrun(
      handlerOf(() => undefined),
      "a1",
    );
    await sql`update outrider.parked set lost = ${lost}`;
    startRunning(
      handlerOf(() => undefined),
      { isolation },
    );
  };
  const never: Isolation["run"] = () => Promise.reject(new Error("it is not run"));

  test("has a row for each process that has", async () => {
    await suspected({ ...inProcess(deps()), run: async () => ({ kind: "killed" }) });
    await buried();
    expect(await attempts()).toEqual(Array(2).fill("0 - killed PROCESS_KILLED"));
  });

  test("has none for a process that could not be started", async () => {
    let tries = 0;
    const alive = inProcess(deps());
    const run: Isolation["run"] = (...given) =>
      (tries += 1) > 2 ? alive.run(...given) : Promise.resolve({ kind: "unrun" });
    await suspected({ ...alive, run });
    await emptied("parked_heads");
    expect([tries, await attempts(), await ofKey("a")]).toEqual([3, [], [1]]);
  });

  test("has none when it is given up without a run of its own", async () => {
    await suspected({ ...inProcess(deps()), run: never }, 10);
    await buried();
    expect(await attempts()).toEqual([]);
  });
});
