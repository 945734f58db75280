/** A TCP proxy on loopback that can be made to behave as a bad network does. */

import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

export type Proxy = Readonly<{
  port: number;
  /** Resets every connection; new ones are welcome. */
  reset(): void;
  /** Ends every connection and refuses new ones, until `restore`. */
  cut(): Promise<void>;
  restore(): Promise<void>;
  /** Holds back everything by so many milliseconds; 0 ends it. */
  delay(ms: number): void;
  /** Lets nothing through in one direction: connections stay open and silent. */
  silence(direction: "to" | "from" | undefined): void;
  /** Resets the connection on which this is next seen on its way to the service, after it. */
  resetAfter(pattern: RegExp): void;
  close(): Promise<void>;
}>;

type Weather = { delayMs: number; silent: "to" | "from" | undefined; trap: RegExp | undefined };

export const createProxy = async (servicePort: () => number): Promise<Proxy> => {
  const weather: Weather = { delayMs: 0, silent: undefined, trap: undefined };
  const clients = new Set<Socket>();
  const server = createServer((near) => {
    clients.add(near);
    const far = connect(servicePort(), "127.0.0.1");
    near.on("close", () => clients.delete(near));
    pass(near, far, { weather, direction: "to" });
    pass(far, near, { weather, direction: "from" });
  });
  const port = await listen(server, 0);
  const cut = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const client of clients) client.destroy();
    await closed;
  };
  return {
    port,
    reset: () => {
      for (const client of clients) client.resetAndDestroy();
    },
    cut,
    restore: async () => void (await listen(server, port)),
    delay: (ms) => {
      weather.delayMs = ms;
    },
    silence: (direction) => {
      weather.silent = direction;
      // What was dropped leaves a hole: such a connection is of no use afterwards.
      if (!direction) for (const client of clients) client.resetAndDestroy();
    },
    resetAfter: (pattern) => {
      weather.trap = pattern;
    },
    close: async () => (server.listening ? cut() : undefined),
  };
};

const pass = (
  from: Socket,
  to: Socket,
  { weather, direction }: Readonly<{ weather: Weather; direction: "to" | "from" }>,
): void => {
  from.on("data", (chunk: Buffer) => {
    if (weather.silent === direction) return;
    const isTrapped = direction === "to" && weather.trap?.test(chunk.toString("latin1"));
    const send = () => {
      if (!to.destroyed) to.write(chunk);
    };
    if (weather.delayMs > 0) setTimeout(send, weather.delayMs);
    else send();
    if (!isTrapped) return;
    weather.trap = undefined;
    // The service gets it, and nobody hears what it says.
    setTimeout(() => from.resetAndDestroy(), weather.delayMs + 1);
  });
  from.on("error", () => to.destroy());
  from.on("close", () => to.destroy());
};

const listen = (server: Server, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
