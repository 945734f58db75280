/** A small HTTP server for the daemons that run on Node: health and metrics. */

import { serve } from "@hono/node-server";

export type ServeOptions = Readonly<{
  fetch(request: Request): Response | Promise<Response>;
  host: string;
  /** 0 takes a free one. */
  port: number;
}>;

/** Resolves when it listens; rejects when the port is taken. */
export const serveOnNode = (
  options: ServeOptions,
): Promise<Readonly<{ port: number; close(): Promise<void> }>> =>
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
