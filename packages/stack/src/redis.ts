/**
 * Redis, or Valkey, as a child process: on loopback only, with a password, and with a log of every
 * write, so that its data survives a restart and, but for its last second, the end of the machine.
 * Throws Fault `unavailable` with the end of its log when it does not come up.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fault } from "@outrider/event";
import { startChild } from "./child.ts";
import type { Child } from "./child.ts";
import { lastWords } from "./last-words.ts";
import { ownEnv } from "./own-env.ts";
import { ensurePassword } from "./password.ts";
import { isTaken, portTaken } from "./port-taken.ts";
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

/** Arguments can be read by every user of the machine, so the password is in a file. */
const secretsFile = "secrets.conf";

/** Where the Redis of a state folder is to be found on this port. */
export const redisUrlOf = async (stateDir: string, port: number): Promise<string> => {
  const password = await ensurePassword(join(stateDir, "redis.password"));
  return `redis://:${password}@127.0.0.1:${port}`;
};

/** The same port and state folder give the same Redis again, with its data. */
export const startRedis = async (job: EmbeddedJob, port: number): Promise<RunningService> => {
  const step = job.report.step("redis");
  try {
    const { command, edition } = await findRedisServer(job, step);
    const dataDir = join(job.stateDir, "redis");
    const logFile = join(job.stateDir, "logs", "redis.log");
    await mkdir(dataDir, { recursive: true });
    const url = await redisUrlOf(job.stateDir, port);
    const { password } = new URL(url);
    await writeFile(join(dataDir, secretsFile), `requirepass ${password}\n`, { mode: 0o600 });
    step.note("starting");
    const place = ["--port", String(port), "--bind", "127.0.0.1", "--dir", dataDir];
    const child = await startChild({
      name: "redis",
      command,
      args: [secretsFile, ...place, ...redisSettings],
      cwd: dataDir,
      env: ownEnv(job.host.env),
      logFile,
    });
    job.onStart(child);
    try {
      await ready(job, { child, url, logFile });
    } catch (error) {
      await child.stop(killAfterMs);
      if (!job.signal?.aborted && (await isTaken(port, child.log()))) {
        throw portTaken("redis", port, error);
      }
      throw error;
    }
    return { url, edition: `embedded ${edition}`, ...child };
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
    processId: child.pid,
    check: () => {
      if (child.isRunning()) return;
      const log = lastWords(child.log());
      throw fault("unavailable", `Redis ended while starting; ${logFile} says:\n${log}`);
    },
  });
