/** The thread that `watchLoop` starts. Its lines go to stdout as the process's own do. */

import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import type { Watched } from "./loop-watch.ts";

const { counts, parts, name, beatMs, warnAfterMs, endAfterMs } = workerData as Watched;

let beat = -1;
/** Since the loop's last beat. They stop with the process, as a clock does not. */
let ticks = 0;
let isTold = false;

const say = (message: string, more: Readonly<{ blockedMs: number }>): void => {
  const running = parts.filter((_, at) => Atomics.load(counts, at + 1) > 0);
  const time = new Date().toISOString();
  const line = { level: "error", time, name, pid: process.pid, running, ...more, msg: message };
  writeSync(1, `${JSON.stringify(line)}\n`);
};

setInterval(() => {
  const now = Atomics.load(counts, 0);
  const blockedMs = ticks * beatMs;
  if (now !== beat) {
    if (isTold) say("the event loop runs again", { blockedMs });
    [beat, ticks, isTold] = [now, 0, false];
    return;
  }
  ticks += 1;
  if (blockedMs > endAfterMs) {
    say("the event loop is blocked for good: the process ends", { blockedMs });
    process.kill(process.pid, "SIGKILL");
  }
  if (isTold || blockedMs < warnAfterMs) return;
  isTold = true;
  say("the event loop is blocked", { blockedMs });
}, beatMs);
