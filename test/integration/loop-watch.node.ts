/** A process that blocks its event loop is seen. Runs on Node, as workers do. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

type Line = Readonly<{ msg: string; running: string[]; blockedMs: number }>;

const start = (...args: number[]) => {
  const program = join(import.meta.dirname, "../support/blocking.ts");
  return spawn(process.execPath, [program, ...args.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
};

const end = async (child: ReturnType<typeof start>) => {
  const [output, [code, signal]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  const lines = output
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
  return { lines, code: code as number | null, signal: signal as string | null };
};
const run = (...args: number[]) => end(start(...args));

test("a blocked loop is told of once, with what ran, and when it is free again", async () => {
  const { lines, code } = await run(1500);
  assert.equal(code, 0);
  const [blocked, again, ...more] = lines;
  assert.equal(blocked?.msg, "the event loop is blocked");
  assert.deepEqual(blocked?.running, ["busy"]);
  assert.ok((blocked?.blockedMs ?? 0) >= 500);
  assert.equal(again?.msg, "the event loop runs again");
  assert.deepEqual(more, []);
});

test("a loop that is not blocked is not talked about", async () => {
  const { lines, code } = await run(100);
  assert.deepEqual([lines, code], [[], 0]);
});

test("what never returns ends the process", async () => {
  const { lines, signal } = await run(60_000, 1500);
  assert.equal(signal, "SIGKILL");
  assert.match(lines.at(-1)?.msg ?? "", /blocked for good/);
});

test("the time that a process was stopped from outside does not count", async () => {
  const child = start(4000, 2500);
  const ended = end(child);
  await once(child.stdout, "data");
  child.kill("SIGSTOP");
  await delay(2500);
  child.kill("SIGCONT");
  const { lines, code } = await ended;
  assert.equal(code, 0);
  const said = lines.map((line) => line.msg);
  assert.deepEqual(said, ["the event loop is blocked", "the event loop runs again"]);
});
