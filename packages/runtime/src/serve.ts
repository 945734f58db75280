/** A small HTTP server for the daemons that run on Node: health and metrics. */

import { serve } from "@hono/node-server";
import { listening } from "./listening.ts";

export type ServeOptions = Readonly<{
  fetch(request: Request): Response | Promise<Response>;
  host: string;
  /** 0 takes a free one. */
  port: number;
}>;

type Server = Readonly<{ port: number; close(): Promise<void> }>;

/** Resolves when it listens. Throws as `listening` does. */
export const serveOnNode = (options: ServeOptions): Promise<Server> =>
  listening(options, () => listen(options));

const listen = (options: ServeOptions): Promise<Server> =>
  new Promise((resolve, reject) => {
    const { fetch, host: hostname, port } = options;
    const server = serve({ fetch, hostname, port }, (address) => {
      resolve({ port: address.port, close });
    });
    server.on("error", reject);
    const close = (): Promise<void> =>
      new Promise((closed) => {
        server.close(() => closed());
        // A scraper's idle connection would otherwise keep it open.
        if ("closeAllConnections" in server) server.closeAllConnections();
      });
  });
