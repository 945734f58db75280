import { expect, test } from "bun:test";
import type { Log } from "@outrider/event";
import { createReleasers } from "./releasers.ts";

const setUp = (timeoutMs: number) => {
  const messages: string[] = [];
  const note = (_: object, message: string) => void messages.push(message);
  const log: Log = { child: () => log, debug: note, info: note, warn: note, error: note };
  return { messages, ...createReleasers(log, timeoutMs) };
};

test("what was registered last is released first, one after the other", async () => {
  const { onStop, release } = setUp(5_000);
  const order: string[] = [];
  onStop("database", () => void order.push("database"));
  onStop("server", async () => {
    await Promise.resolve();
    order.push("server");
  });
  expect(await release()).toBe(true);
  expect(order).toEqual(["server", "database"]);
});

test("one that fails is said, and the others are released all the same", async () => {
  const { onStop, release, messages } = setUp(5_000);
  let released = false;
  onStop("database", () => void (released = true));
  onStop("server", () => {
    throw new Error("no");
  });
  expect(await release()).toBe(false);
  expect(released).toBe(true);
  expect(messages).toEqual(["server could not be released"]);
});

test("one that hangs leaves time for the others", async () => {
  const { onStop, release, messages } = setUp(50);
  let released = false;
  onStop("database", () => void (released = true));
  onStop("server", () => new Promise(() => {}));
  const started = performance.now();
  expect(await release()).toBe(false);
  expect(performance.now() - started).toBeLessThan(500);
  expect(released).toBe(true);
  expect(messages).toEqual(["server could not be released"]);
});

test("what is registered while stopping is released too, and nothing twice", async () => {
  const { onStop, release } = setUp(5_000);
  let count = 0;
  onStop("first", () => onStop("second", () => void count++));
  await Promise.all([release(), release()]);
  onStop("late", () => void count++);
  await release();
  expect(count).toBe(2);
});
