import { expect, test } from "bun:test";
import { fault } from "@outrider/event";
import type { Log } from "@outrider/event";
import { createAcceptance } from "./acceptance.ts";

const setUp = () => {
  const lines: string[] = [];
  const keep = (level: string) => (_fields: object, message: string) =>
    void lines.push(`${level} ${message}`);
  const log: Log = {
    child: () => log,
    ...{ debug: keep("debug"), info: keep("info"), warn: keep("warn"), error: keep("error") },
  };
  const clock = { ms: 0 };
  const one = createAcceptance({ log, holdMs: 10, monotonicMs: () => clock.ms });
  return { lines, clock, one, taken: () => one.note(Promise.resolve()) };
};

const full = new Error("OOM command not allowed when used memory > 'maxmemory'.");

test("refusals are told once, with the next step, and so is their end", async () => {
  const { lines, clock, one, taken } = setUp();
  await taken();
  expect([one.reason(), lines]).toEqual([undefined, []]);
  const told =
    "Redis refuses timers: its memory is full. Raise its maxmemory, or remove what else it holds";
  for (let n = 0; n < 3; n += 1) one.refused(full);
  expect([one.reason(), lines]).toEqual([told, [`warn ${told}`]]);
  clock.ms = 10;
  await taken();
  await taken();
  expect([one.reason(), lines[1]]).toEqual([undefined, "info Redis takes timers again"]);
  expect(lines).toHaveLength(2);
});

test("while some commands are taken and others refused it stays refused", async () => {
  const { lines, clock, one, taken } = setUp();
  for (let n = 0; n < 5; n += 1) {
    one.refused(full);
    clock.ms += 9;
    await taken();
  }
  expect([one.reason() !== undefined, lines.length]).toEqual([true, 1]);
});

test("what has no meaning of ours is told as Redis says it", () => {
  const { one } = setUp();
  one.refused(new Error("LOADING Redis is loading\nmore"));
  expect(one.reason()).toBe("Redis refuses timers: LOADING Redis is loading");
});

test("what Redis answers to a write counts, and not that it could not be asked", async () => {
  const { lines, one } = setUp();
  const answer = Object.assign(new Error(full.message), { name: "ReplyError" });
  for (const [cause, isRefused] of [
    [new Error("Connection is closed."), false],
    [answer, true],
  ] as const) {
    const failure = fault("unavailable", "Redis did not take the timers", { cause });
    expect(await one.note(Promise.reject(failure)).catch((error: unknown) => error)).toBe(failure);
    expect([one.reason() !== undefined, lines.length]).toEqual([isRefused, Number(isRefused)]);
  }
});
