/** Which TCP ports on loopback to listen on: the usual one, the one used last, or any free one. */

import { createSocket } from "node:dgram";
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
  port === 0 ? reserveFree(() => listenOnce(0)) : listenOnce(port);

/** Of free ports that somebody else has chosen, one after the other. */
const reserveTriesMax = 100;

/**
 * A free port that no other process of ours has chosen: who starts at the same moment finds the
 * same ones free, until something listens on them. The same number of UDP, which is of no use here,
 * stays taken as long as this process lives, also while what listens is being started again.
 */
export const reserveFree = async (
  pick: () => Promise<number | undefined>,
): Promise<number | undefined> => {
  for (let tries = 0; tries < reserveTriesMax; tries += 1) {
    const port = await pick();
    if (port === undefined || (await takeUdp(port))) return port;
  }
  return undefined;
};

const takeUdp = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => {
      socket.unref();
      resolve(true);
    });
  });

const listenOnce = (port: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      const address = server.address();
      const free = typeof address === "object" && address !== null ? address.port : undefined;
      server.close(() => resolve(free));
    });
  });
