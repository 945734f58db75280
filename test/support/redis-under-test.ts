/** A Redis of a test's own, on a port that stays, to be ended and started again. */

import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { choosePort, describeHost, redisUrlOf, silentReport, startRedis } from "@outrider/stack";
import type { RunningService } from "@outrider/stack";
import { testEnvironment } from "./environment.ts";

export type RedisUnderTest = Readonly<{
  url: string;
  start(): Promise<void>;
  /** With what it had, as a machine that goes on. */
  kill(): Promise<void>;
  /** It keeps its connections, and answers nothing. */
  freeze(): void;
  thaw(): void;
  /** What it holds, while it is ended. */
  wipe(): void;
  /** Ends it and leaves nothing behind. */
  remove(): Promise<void>;
}>;

const stopMs = 2_000;

/** Not started yet. */
export const createRedisUnderTest = async (): Promise<RedisUnderTest> => {
  const folder = mkdtempSync(join(tmpdir(), "outrider-redis-"));
  const stateDir = join(folder, ".outrider");
  mkdirSync(stateDir);
  const port = await choosePort([0]);
  const host = describeHost(testEnvironment());
  let service: RunningService | undefined;

  const signal = (name: NodeJS.Signals): void => {
    if (service?.pid) process.kill(service.pid, name);
  };
  return {
    url: await redisUrlOf(stateDir, port),
    start: async () => {
      service = await startRedis({ host, report: silentReport, stateDir, onStart: () => {} }, port);
    },
    kill: async () => {
      signal("SIGKILL");
      await service?.exited;
      service = undefined;
    },
    freeze: () => signal("SIGSTOP"),
    thaw: () => signal("SIGCONT"),
    wipe: () => rmSync(join(stateDir, "redis"), { recursive: true, force: true }),
    remove: async () => {
      signal("SIGCONT");
      await service?.stop(stopMs);
      rmSync(folder, { recursive: true, force: true });
    },
  };
};
