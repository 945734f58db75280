/**
 * A web page that shows queues of timers and changes nothing: bull-board, read-only, below a path
 * of a Hono app.
 */

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { HonoAdapter } from "@bull-board/hono";
import { fault } from "@outrider/event";
import { Hono } from "hono";
import { serveStatic } from "hono/serve-static";
import type { ServeStaticOptions } from "hono/serve-static";
import type { Redis } from "ioredis";
import { createKeptConnection } from "./kept-connection.ts";
import { openQueue } from "./retry-queues.ts";
import { checkName } from "./sender.ts";

export type QueueBoard = Readonly<{
  /**
   * To be mounted with `app.route(basePath, board.app)`. Throws Faults: `method_not_allowed` for
   * whatever is no GET, `invalid` for a query that the page does not send, `unavailable` where
   * Redis is away, `timeout` where it takes too long.
   */
  app: Hono;
  close(): Promise<void>;
}>;

export type QueueBoardDeps = Readonly<{
  redisUrl: string;
  queues: readonly string[];
  /** Where the app is mounted, such as `/queues`. */
  basePath: string;
}>;

export type QueueBoardSettings = Readonly<{
  title?: string;
  /** How long Redis may take for one request of the page, connecting included. */
  timeoutMs?: number;
}>;

const defaults = { title: "Timers", timeoutMs: 3000 } as const;

/** What the page needs, as a browser says it: styles in its HTML, and no other host. */
export const boardPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Nothing is opened before the first request. Throws `settings_invalid` for a wrong name. */
export const createQueueBoard = (
  { redisUrl, queues, basePath }: QueueBoardDeps,
  settings: QueueBoardSettings = {},
): QueueBoard => {
  const { title, timeoutMs } = { ...defaults, ...settings };
  queues.forEach(checkName);
  const { ask, close } = createKeptConnection(redisUrl, { timeoutMs });
  const files = createPages([], { basePath, title });
  const boards = new WeakMap<Redis, Hono>();
  const boardOf = (client: Redis): Hono => {
    const known = boards.get(client);
    if (known) return known;
    const opened = queues.map((name) => openQueue(name, client));
    const board = createPages(opened, { basePath, title });
    boards.set(client, board);
    return board;
  };

  const show = (request: Request): Promise<Response> =>
    ask(async (client) => {
      // The page, too: it would say that there are no queues.
      await client.ping();
      const answer = await boardOf(client).fetch(request);
      if (answer.status < 500) return answer;
      const details = { answer: await answer.text() };
      if (client.status === "ready") throw fault("internal", "The board has failed", { details });
      throw fault("unavailable", "Redis went away", { details });
    });

  const app = new Hono();
  app.all("*", async ({ req }) => {
    if (req.method !== "GET" && req.method !== "HEAD") {
      throw fault("method_not_allowed", "The board shows queues, and changes nothing");
    }
    assertQuery(req.query());
    const isFile = req.path.startsWith(`${basePath}/static/`);
    const answer = await (isFile ? files.fetch(req.raw) : show(req.raw).then(fromHereAlone));
    answer.headers.set("content-security-policy", boardPolicy);
    return answer;
  });
  return { app, close };
};

/** The page asks another host for fonts. Without them it has those of the reader's system. */
const fromHereAlone = async (answer: Response): Promise<Response> => {
  if (!answer.headers.get("content-type")?.startsWith("text/html")) return answer;
  const page = await answer.text();
  return new Response(page.replaceAll(/<link[^>]+href="(https?:)?\/\/[^>]*>/g, ""), answer);
};

/** Numbers that Redis takes, and no more of its jobs at once than a page shows. */
const queryForms: Readonly<Record<string, RegExp>> = {
  page: /^[1-9]\d{0,5}$/,
  jobsPerPage: /^([1-9]\d{0,2}|1000)$/,
  status: /^[a-z-]{1,32}$/,
};

const assertQuery = (query: Readonly<Record<string, string>>): void => {
  const problems = Object.entries(queryForms).flatMap(([name, form]) =>
    query[name] === undefined || form.test(query[name])
      ? []
      : [{ pointer: `/${name}`, detail: `must match ${form.source}` }],
  );
  if (problems.length > 0) throw fault("invalid", "The query is not valid", { problems });
};

type Looks = Readonly<{ basePath: string; title: string }>;

const createPages = (
  queues: readonly ReturnType<typeof openQueue>[],
  { basePath, title: boardTitle }: Looks,
): Hono => {
  const uiBasePath = dirname(fileURLToPath(import.meta.resolve("@bull-board/ui/package.json")));
  const adapter = new HonoAdapter(serveFrom(join(uiBasePath, "dist/static")));
  adapter.setBasePath(basePath);
  createBullBoard({
    queues: queues.map((queue) => new BullMQAdapter(queue, { readOnlyMode: true })),
    serverAdapter: adapter,
    // Our workers have connections of their own, by which BullMQ does not know them.
    options: { uiBasePath, uiConfig: { boardTitle, showWorkers: false } },
  });
  return new Hono({ strict: false }).route(basePath, adapter.registerPlugin());
};

type Serving = Pick<ServeStaticOptions, "rewriteRequestPath">;

/** As the runtimes' own do, which read below the working directory. */
const serveFrom =
  (root: string) =>
  ({ rewriteRequestPath }: Serving = {}) =>
    serveStatic({
      ...(rewriteRequestPath && { rewriteRequestPath }),
      ...{ root, join },
      getContent: (path) => readFile(path).catch(() => null),
    });
