/**
 * A process of tests for timers: opens the queue of its arguments, prints each timer that is due
 * there, and closes the queue on SIGTERM. What nobody handles is printed, too.
 */

import { createOpenTimers } from "@outrider/bullmq";
import { createKeptLog } from "./kept-log.ts";

const [redisUrl = "", queue = ""] = process.argv.slice(2);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

process.on("unhandledRejection", (error) => say(`unhandled ${String(error)}`));
process.on("uncaughtException", (error) => say(`uncaught ${String(error)}`));
const { log, lines } = createKeptLog();
const timers = createOpenTimers(redisUrl, log, { lockMs: 2_000 })(queue, (id) => {
  say(`due ${id}`);
  // Stands for a process that ends as a timer fires.
  if (id === "deadly") process.kill(process.pid, "SIGKILL");
});
say("open");
process.once("SIGTERM", () => {
  void timers.close().then(() => {
    for (const { level, message } of lines) say(`${level} ${message}`);
    say("closed");
  });
});
