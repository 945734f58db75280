/**
 * Redis, or Valkey, as a child process: on loopback only, and with a log of every write, so that
 * its data survives a restart and, but for its last second, the end of the machine.
 * Throws Fault `unavailable` with the end of its log when it does not come up.
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fault } from "@outrider/event";
import { startChild, tailOf } from "./child.ts";
import type { Child } from "./child.ts";
import { waitForRedis } from "./redis-ready.ts";
import { findRedisServer } from "./redis-server.ts";
import type { EmbeddedJob, RunningService } from "./service.ts";

const readyTimeoutMs = 60_000;
/** After a start that failed. */
const killAfterMs = 2_000;

/** Those of compose.yaml, too. */
export const redisSettings: readonly string[] = [
  ...["--appendonly", "yes"],
  ...["--appendfsync", "everysec"],
  // A queue must not lose jobs when memory is short.
  ...["--maxmemory-policy", "noeviction"],
  // No snapshots beside the log of writes.
  ...["--save", ""],
];

/** The same port and state folder give the same Redis again, with its data. */
export const startRedis = async (job: EmbeddedJob, port: number): Promise<RunningService> => {
  const step = job.report.step("redis");
  try {
    const { command, edition } = await findRedisServer(job, step);
    const dataDir = join(job.stateDir, "redis");
    const logFile = join(job.stateDir, "logs", "redis.log");
    await mkdir(dataDir, { recursive: true });
    step.note("starting");
    const place = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dataDir];
    const child = await startChild({
      name: "redis",
      command,
      args: [...place, ...redisSettings],
      cwd: dataDir,
      env: job.host.env,
      logFile,
    });
    job.onStart(child);
    const url = `redis://127.0.0.1:${port}`;
    try {
      await ready(job, { child, url, logFile });
    } catch (error) {
      await child.stop(killAfterMs);
      throw error;
    }
    const { pid, exited, stop } = child;
    return { url, pid, edition: `embedded ${edition}`, exited, stop };
  } finally {
    step.end();
  }
};

const ready = (
  job: EmbeddedJob,
  { child, url, logFile }: Readonly<{ child: Child; url: string; logFile: string }>,
): Promise<void> =>
  waitForRedis(url, {
    timeoutMs: readyTimeoutMs,
    signal: job.signal,
    check: () => {
      if (child.isRunning()) return;
      const log = tailOf(logFile);
      throw fault("unavailable", `Redis ended while starting; its log says:\n${log}`);
    },
  });
