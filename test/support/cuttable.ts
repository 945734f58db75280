/** A TCP proxy before a service, so that a test can take the service away and bring it back. */

import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

export type Cuttable = Readonly<{
  /** The service's URL, by way of the proxy. */
  url: string;
  /** Ends every connection and refuses new ones. */
  cut(): Promise<void>;
  restore(): Promise<void>;
  /** Resets every connection of a client, as a peer does that has crashed; new ones are welcome. */
  reset(): void;
  /** Keeps connections, takes new ones, and passes nothing on. */
  hang(): void;
  goOn(): void;
  close(): Promise<void>;
}>;

export const createCuttable = async (serviceUrl: string): Promise<Cuttable> => {
  const service = new URL(serviceUrl);
  const sockets = new Set<Socket>();
  const pipes = new Map<Socket, Socket>();
  const clients = new Set<Socket>();
  let isHung = false;
  const server = createServer((near) => {
    clients.add(near);
    near.on("close", () => clients.delete(near));
    const far = connect(Number(service.port), service.hostname);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        pipes.delete(socket);
        other.destroy();
      });
      if (!isHung) socket.pipe(other);
      pipes.set(socket, other);
    }
  });
  const port = await listen(server, 0);
  const url = new URL(serviceUrl);
  url.hostname = "127.0.0.1";
  url.port = String(port);
  const cut = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    url: url.href,
    cut,
    reset: () => {
      for (const client of clients) client.resetAndDestroy();
    },
    hang: () => {
      isHung = true;
      for (const [from, to] of pipes) from.unpipe(to);
    },
    goOn: () => {
      isHung = false;
      for (const [from, to] of pipes) from.pipe(to);
    },
    restore: async () => void (await listen(server, port)),
    close: async () => (server.listening ? cut() : undefined),
  };
};

const listen = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
