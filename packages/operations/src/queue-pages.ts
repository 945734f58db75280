/**
 * `/queues`: the retry queues in a browser, as bull-board shows them, read-only. Which ones there
 * are is what workers have said, so the pages are made anew when that changes.
 */

import { fault } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { Hono } from "hono";
import { assertScope } from "./caller.ts";
import type { OperationsEnv } from "./operation.ts";
import { readQueueNames } from "./retry-queue.ts";

/** As `createQueueBoard` of @outrider/bullmq/board gives it. */
export type Board = Readonly<{ app: Hono; close(): Promise<void> }>;

export type QueuePages = Readonly<{ app: Hono<OperationsEnv>; close(): Promise<void> }>;

export type QueuePagesDeps = Readonly<{
  sql: Sql;
  openBoard(queues: readonly string[], basePath: string): Board;
}>;

const basePath = "/queues";

export const createQueuePages = ({ sql, openBoard }: QueuePagesDeps): QueuePages => {
  let open: (Board & Readonly<{ names: string; shown: Hono }>) | undefined;

  const pagesOf = async (): Promise<Hono> => {
    const queues = await readQueueNames(sql);
    const names = queues.join(" ");
    if (open?.names === names) return open.shown;
    if (queues.length === 0) throw fault("not_found", "No worker has named a queue yet");
    const before = open;
    const board = openBoard(queues, basePath);
    const shown = new Hono().route(basePath, board.app);
    // Whoever has mounted this makes an answer of it.
    shown.onError((error) => {
      throw error;
    });
    open = { ...board, names, shown };
    await before?.close();
    return shown;
  };

  const app = new Hono<OperationsEnv>();
  app.all("*", async (c) => {
    assertScope(c.get("caller"), ["events:read"]);
    return (await pagesOf()).fetch(c.req.raw);
  });
  return { app, close: async () => open?.close() };
};
