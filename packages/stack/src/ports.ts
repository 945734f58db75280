/** Which TCP ports on loopback to listen on: the usual one, the one used last, or any free one. */

import { createSocket } from "node:dgram";
import type { Socket } from "node:dgram";
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

export type PortBook = Readonly<{
  /**
   * A port for each name in `wanted`, never one that was given before: who asks again for a name
   * has found its port taken. The choice is remembered in the folder, so that addresses stay the
   * same from run to run where the usual ones are taken.
   */
  choose<Name extends string>(wanted: Ports<Name>): Promise<Ports<Name>>;
  /** Lets others have the ports. */
  close(): void;
}>;

export const openPorts = (stateDir: string): PortBook => {
  const path = join(stateDir, "ports.json");
  /** Of each port that was given, what keeps others that start at this moment away from it. */
  const holds = new Map<number, Socket>();
  const hold = (port: number, socket: Socket) => {
    holds.set(port, socket);
    return port;
  };
  const probe = (wanted: number) =>
    findPort(async () => {
      const port = await listenOnce(wanted);
      if (port === undefined || holds.has(port)) return undefined;
      const socket = await takeUdp(port);
      return socket && hold(port, socket);
    }, wanted === 0);
  return {
    choose: async <Name extends string>(wanted: Ports<Name>) => {
      const last = readJson<Readonly<Record<string, number>>>(path) ?? {};
      const chosen: Record<string, number> = {};
      for (const [name, port] of Object.entries<number>(wanted)) {
        chosen[name] = await choosePort(portOrder(port, last[name]), probe);
      }
      writeJson(path, { ...last, ...chosen });
      return chosen as Ports<Name>;
    },
    close: () => {
      for (const socket of holds.values()) socket.close();
      holds.clear();
    },
  };
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

/**
 * The port when it could be listened on just now, else undefined; 0 gives a free one that stays
 * this process's.
 */
export const probePort = (port: number): Promise<number | undefined> =>
  port === 0 ? reserveFree(() => listenOnce(0)) : listenOnce(port);

/** Of free ports that somebody else has chosen, one after the other. */
const reserveTriesMax = 100;

/** A free port that no other process of ours has chosen, as long as this process lives. */
export const reserveFree = (pick: () => Promise<number | undefined>): Promise<number | undefined> =>
  findPort(async () => {
    const port = await pick();
    return port !== undefined && (await takeUdp(port)) ? port : undefined;
  }, true);

const findPort = async (
  take: () => Promise<number | undefined>,
  isAny: boolean,
): Promise<number | undefined> => {
  for (let tries = 0; tries < (isAny ? reserveTriesMax : 1); tries += 1) {
    const port = await take();
    if (port !== undefined) return port;
  }
  return undefined;
};

/**
 * Who starts at the same moment finds the same ports free, until something listens on them. The
 * same number of UDP, which is of no use here, stays taken until the socket is closed, also while
 * what listens is being started again.
 */
const takeUdp = (port: number): Promise<Socket | undefined> =>
  new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", () => {
      socket.close();
      resolve(undefined);
    });
    socket.bind({ port, address: "127.0.0.1", exclusive: true }, () => {
      socket.unref();
      resolve(socket);
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
