/**
 * The services of compose.yaml on a running Docker engine. Containers and volumes carry a name
 * made from the folder that holds the state, so that two clones do not share data.
 * Throws Fault `missing_tool` when Docker Compose is asked for and not there, `unavailable` with
 * its last words when it fails.
 */

import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { fault } from "@outrider/event";
import { findCommand } from "./host.ts";
import type { Host } from "./host.ts";
import { run } from "./run.ts";
import type { ServiceName } from "./service.ts";

export type Compose = Readonly<{
  up(services: readonly ServiceName[], ports: DockerPorts, signal?: AbortSignal): Promise<void>;
  /** Stops the containers and keeps their data. */
  stop(services: readonly ServiceName[]): Promise<void>;
  /** Removes containers and data. */
  remove(): Promise<void>;
}>;

export type DockerPorts = Readonly<{ postgres: number; kafka: number; redis: number }>;

const composeFile = join(import.meta.dirname, "../../../compose.yaml");
const askTimeoutMs = 2_000;
/** Images may have to be pulled. */
const upTimeoutMs = 10 * 60_000;
const stopTimeoutMs = 9_000;
const stopGraceSeconds = 6;

/** The user, the password and the database of compose.yaml. */
export const dockerDatabaseUrl = (port: number): string =>
  `postgres://outrider:outrider@127.0.0.1:${port}/outrider`;

/** The compose command of a machine whose Docker engine answers, else undefined. */
export const findCompose = async (host: Host): Promise<readonly string[] | undefined> => {
  if (!(await succeeds(host, ["docker", "info", "--format", "v{{.ServerVersion}}"], /^v\d/m))) {
    return undefined;
  }
  for (const command of [["docker", "compose"], ["docker-compose"]]) {
    if (await succeeds(host, [...command, "version"], /./)) return command;
  }
  return undefined;
};

const succeeds = async (
  host: Host,
  [command = "", ...args]: readonly string[],
  wanted: RegExp,
): Promise<boolean> => {
  if (findCommand(host, command) === undefined) return false;
  const options = { env: host.env, timeoutMs: askTimeoutMs };
  const result = await run(command, args, options).catch(() => undefined);
  return result?.code === 0 && wanted.test(result.output);
};

export const createCompose = (
  command: readonly string[],
  { host, root }: Readonly<{ host: Host; root: string }>,
): Compose => {
  const folder = realpathSync(root);
  const hash = createHash("sha256").update(folder).digest("hex").slice(0, 8);
  const clone = basename(folder)
    .toLowerCase()
    .replace(/[^a-z0-9]/g, "");
  const [program = "", ...before] = command;
  const compose = async (
    args: readonly string[],
    options: Readonly<{ timeoutMs: number; ports?: DockerPorts; signal?: AbortSignal }>,
  ) => {
    const { ports, timeoutMs, signal } = options;
    const where = ["-f", composeFile, "-p", `outrider-${clone}-${hash}`];
    const env = {
      ...host.env,
      OUTRIDER_POSTGRES_PORT: ports && String(ports.postgres),
      OUTRIDER_KAFKA_PORT: ports && String(ports.kafka),
      OUTRIDER_REDIS_PORT: ports && String(ports.redis),
    };
    const all = [...before, ...where, ...args];
    const { code, output } = await run(program, all, { env, timeoutMs, signal });
    if (code === 0) return;
    const why = output.trim().split("\n").at(-1) ?? "";
    throw fault("unavailable", `Docker Compose failed: ${why}`, { details: { output } });
  };
  return {
    up: (services, ports, signal) =>
      compose(["up", "-d", ...services], { timeoutMs: upTimeoutMs, ports, signal }),
    stop: (services) =>
      compose(["stop", "-t", String(stopGraceSeconds), ...services], { timeoutMs: stopTimeoutMs }),
    remove: () => compose(["down", "-v", "-t", "0"], { timeoutMs: upTimeoutMs }),
  };
};
