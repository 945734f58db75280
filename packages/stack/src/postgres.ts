/**
 * PostgreSQL 18 from npm, as a child process: on loopback only, with a password, durable, and with
 * logical decoding on. Its data survives a restart.
 * Throws Fault `unavailable` with the end of its log when it does not come up.
 */

import { randomUUID } from "node:crypto";
import { chmodSync, chownSync, existsSync, mkdirSync } from "node:fs";
import { rename, rm, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fault } from "@outrider/event";
import { startChild } from "./child.ts";
import type { Child } from "./child.ts";
import { lastWords } from "./last-words.ts";
import { ownEnv } from "./own-env.ts";
import { ensurePassword } from "./password.ts";
import { isTaken, portTaken } from "./port-taken.ts";
import { findPostgresPlace } from "./postgres-owner.ts";
import type { PostgresPlace } from "./postgres-owner.ts";
import { clusterNameOf, query, waitForPostgres } from "./postgres-ready.ts";
import { run } from "./run.ts";
import { withScratch } from "./scratch.ts";
import type { EmbeddedJob, RunningService } from "./service.ts";

/** Name of the superuser, and of the database. */
const userName = "outrider";
const initdbTimeoutMs = 60_000;
const readyTimeoutMs = 60_000;
/** After a start that failed. */
const killAfterMs = 2_000;
/** Between two starts beside sessions that are about to end. */
const retryMs = 100;

export const startPostgres = async (job: EmbeddedJob, port: number): Promise<RunningService> => {
  const step = job.report.step("postgres");
  try {
    const place = await findPostgresPlace(job);
    const dataDir = join(place.dataParent, "postgres");
    const link = join(job.stateDir, "postgres");
    // Without its pointer the data belongs to a state folder that somebody has deleted.
    if (!existsSync(link)) await rm(dataDir, { recursive: true, force: true });
    const password = await ensurePassword(join(place.dataParent, "postgres.password"));
    if (!existsSync(dataDir)) {
      step.note("making the database cluster");
      await initialise(job, place, { dataDir, password });
    }
    await pointTo(dataDir, link);
    step.note("starting");
    const logFile = join(job.stateDir, "logs", "postgres.log");
    const clusterName = randomUUID();
    const url = `postgres://${userName}:${password}@127.0.0.1:${port}/${userName}`;
    const untilMs = performance.now() + readyTimeoutMs;
    for (;;) {
      const child = await startServer(job, place, { dataDir, port, logFile, clusterName });
      job.onStart(child);
      try {
        await ready(job, { child, url, logFile, clusterName });
        return { url, edition: `embedded ${place.version.replace(/-.*/, "")}`, ...child };
      } catch (error) {
        await child.stop(killAfterMs);
        if (job.signal?.aborted) throw error;
        if (await isTaken(port, child.log())) throw portTaken("postgres", port, error);
        if (!hasSessionsLeft(child.log()) || performance.now() > untilMs) throw error;
      }
      step.note("waiting for the sessions of a killed server");
      await delay(retryMs, undefined, { signal: job.signal });
    }
  } finally {
    step.end();
  }
};

/** A server that was killed leaves its sessions behind, which notice it within moments. */
const hasSessionsLeft = (log: string): boolean => /pre-existing shared memory block/.test(log);

/** Runs initdb beside the data folder and renames the result into place, so none is half-made. */
const initialise = (
  job: EmbeddedJob,
  place: PostgresPlace,
  { dataDir, password }: Readonly<{ dataDir: string; password: string }>,
): Promise<void> =>
  withScratch(place.dataParent, "initdb-", async (scratch) => {
    const { owner } = place;
    const passwordFile = join(scratch, "password");
    await writeFile(passwordFile, password, { mode: 0o600 });
    if (owner) for (const path of [scratch, passwordFile]) chownSync(path, owner.uid, owner.gid);
    const data = join(scratch, "data");
    const { code, output } = await run(
      join(place.programs, "bin", "initdb"),
      initdbArgs(data, passwordFile),
      {
        cwd: scratch,
        env: serverEnv(job),
        timeoutMs: initdbTimeoutMs,
        signal: job.signal,
        ...(owner && { uid: owner.uid, gid: owner.gid }),
      },
    );
    if (code !== 0) {
      const why = output.trim().split("\n").at(-1) ?? "";
      throw fault("unavailable", `initdb failed: ${why}`, { details: { output } });
    }
    await rename(data, dataDir);
  });

const initdbArgs = (data: string, passwordFile: string): readonly string[] => [
  `--pgdata=${data}`,
  `--username=${userName}`,
  `--pwfile=${passwordFile}`,
  "--auth=scram-sha-256",
  "--encoding=UTF8",
  // The same order of texts on every machine, whatever locales it has.
  "--locale=C",
  "--locale-provider=builtin",
  "--builtin-locale=C.UTF-8",
  "--data-checksums",
];

/** Shows in the project's folder where root's data lies. */
const pointTo = async (dataDir: string, link: string): Promise<void> => {
  if (dataDir === link) return;
  await rm(link, { force: true });
  await symlink(dataDir, link);
};

type Server = Readonly<{ dataDir: string; port: number; logFile: string; clusterName: string }>;

const startServer = (
  job: EmbeddedJob,
  place: PostgresPlace,
  { dataDir, port, logFile, clusterName }: Server,
): Promise<Child> => {
  mkdirSync(dirname(logFile), { recursive: true });
  chmodSync(dataDir, 0o700);
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    // This start's own: it tells the server from any other that may answer on the port.
    cluster_name: clusterName,
    unix_socket_directories: "",
    wal_level: "logical",
    fsync: "on",
    max_connections: "200",
    timezone: "UTC",
    log_timezone: "UTC",
    log_line_prefix: "%m [%p] %a ",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  return startChild({
    name: "postgres",
    command: join(place.programs, "bin", "postgres"),
    args: ["-D", dataDir, ...args],
    cwd: dataDir,
    env: serverEnv(job),
    logFile,
    // Fast shutdown: sessions are ended, the data is flushed.
    stopSignal: "SIGINT",
    ...(place.owner && { uid: place.owner.uid, gid: place.owner.gid }),
  });
};

/** Without a locale: what the server says is to be the same everywhere. */
const serverEnv = (job: EmbeddedJob) => ({ ...ownEnv(job.host.env), LC_ALL: "C" });

/** Waits for a real answer, and makes the project's database where it is missing. */
const ready = (
  job: EmbeddedJob,
  {
    child,
    url,
    logFile,
    clusterName,
  }: Pick<Server, "logFile" | "clusterName"> & Readonly<{ child: Child; url: string }>,
): Promise<void> =>
  waitForPostgres(url, {
    timeoutMs: readyTimeoutMs,
    signal: job.signal,
    clusterName,
    check: () => {
      if (child.isRunning()) return;
      const log = lastWords(child.log());
      throw fault("unavailable", `Postgres ended while starting; ${logFile} says:\n${log}`);
    },
    createDatabase: () => createDatabase(url, clusterName),
  });

/** In our own server only: another one on its port may let us in, too. */
const createDatabase = async (url: string, clusterName: string): Promise<void> => {
  const maintenance = new URL(url);
  maintenance.pathname = "/postgres";
  if ((await clusterNameOf(maintenance.href)) !== clusterName) return;
  await query(maintenance.href, `create database ${userName}`);
};
