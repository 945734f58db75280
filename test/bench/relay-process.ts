/** Relay processes under measurement. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { choosePort, startChild } from "@outrider/stack";
import type { Child } from "@outrider/stack";
import type { Sql } from "@outrider/postgres";
import { apps } from "../../apps/cli/src/project.ts";
import { until } from "../support/until.ts";
import { cpuOf } from "./stage.ts";
import type { BenchStage } from "./stage.ts";

const root = join(import.meta.dirname, "../..");

export type BenchRelay = Readonly<{
  cpuS(): number;
  /** The most memory so far, bytes. */
  rssMax(): number;
  stop(): Promise<void>;
}>;

const { flags = [] } = apps.find(({ name }) => name === "relay") ?? {};

export const startBenchRelay = async (
  stage: BenchStage,
  { folder, url, waitReady }: Readonly<{ folder: string; url: string; waitReady: boolean }>,
): Promise<BenchRelay> => {
  const port = await choosePort([0]);
  const child: Child = await startChild({
    name: "bench-relay",
    command: stage.nodePath,
    args: [...flags, join(root, "apps/relay/src/main.ts")],
    cwd: root,
    env: {
      DATABASE_URL: url,
      KAFKA_BOOTSTRAP_SERVERS: stage.bootstrapServers,
      DEPLOYMENT: "bench",
      PORT: String(port),
      LOG_LEVEL: "warn",
    },
    logFile: join(folder, "relay.log"),
  });
  if (waitReady) {
    const isReady = async () =>
      (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok ?? false;
    await until(isReady, { what: "the relay", timeoutMs: 30_000 });
  }
  return {
    cpuS: () => cpuOf(child.pid).own,
    rssMax: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
    },
    stop: () => child.stop(10_000),
  };
};

const pollMs = 50;

/** From the first pass of any relay to the last removed row. */
export const timeDrain = async (sql: Sql): Promise<number> => {
  const isAtWork = async () => {
    const [row] = await sql`
      select from pg_stat_activity
      where application_name = 'outrider-bench-relay' and query like 'copy %'
        and datname = current_database()`;
    return row !== undefined;
  };
  await until(isAtWork, { what: "the first pass", timeoutMs: 30_000, pollMs: 5 });
  const startedMs = performance.now();
  for (;;) {
    await delay(pollMs);
    const [row] = await sql`select exists (select from outrider.outbox) as waits`;
    if (!row?.waits) return performance.now() - startedMs;
  }
};
