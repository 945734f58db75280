/** Which TCP ports on loopback to listen on: the usual one, the one used last, or any free one. */

import { createServer } from "node:net";
import { join } from "node:path";
import { readJson, writeJson } from "./json-file.ts";

/** The documented default of each service; 0 means that any free port will do. */
export const servicePorts = {
  postgres: 54_320,
  kafka: 9_092,
  kafkaController: 0,
  redis: 63_790,
} as const;

export type Ports<Name extends string> = Readonly<Record<Name, number>>;

/**
 * A port for each name in `wanted`; the choice is remembered in the folder, so that addresses stay
 * the same from run to run where the usual ones are taken.
 */
export const choosePorts = async <Name extends string>(
  stateDir: string,
  wanted: Ports<Name>,
): Promise<Ports<Name>> => {
  const path = join(stateDir, "ports.json");
  const last = readJson<Readonly<Record<string, number>>>(path) ?? {};
  const chosen: Record<string, number> = {};
  // Nobody listens on them yet, so what was chosen a moment ago still looks free.
  const probe = async (port: number) => {
    const free = await probePort(port);
    return free !== undefined && Object.values(chosen).includes(free) ? undefined : free;
  };
  for (const [name, port] of Object.entries<number>(wanted)) {
    chosen[name] = await choosePort(portOrder(port, last[name]), probe);
  }
  writeJson(path, { ...last, ...chosen });
  return chosen as Ports<Name>;
};

/** The usual port comes first, where there is one (0 is none), then the one of the last run. */
export const portOrder = (usual: number, last: number | undefined) =>
  usual === 0 ? [last] : [usual, last];

/** The first of `wanted` that is free, or any free one when none is. */
export const choosePort = async (
  wanted: readonly (number | undefined)[],
  probe: (port: number) => Promise<number | undefined> = probePort,
): Promise<number> => {
  for (const port of [...wanted, 0]) {
    const free = port === undefined ? undefined : await probe(port);
    if (free !== undefined) return free;
  }
  throw new Error("loopback has no free port");
};

/** The port when it could be listened on just now (0 gives a free one), else undefined. */
export const probePort = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      const free = typeof address === "object" && address !== null ? address.port : undefined;
      server.close(() => resolve(free));
    });
  });
