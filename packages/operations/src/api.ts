/**
 * The operations API, `/v1`: everything that an operator looks at and decides, over HTTP. The
 * command works through it, too: on another machine over the network, on this one in its process.
 */

import type { TopicReader } from "@outrider/broker";
import type { RetryQueues } from "@outrider/bullmq";
import type { Log } from "@outrider/event";
import { thresholds } from "@outrider/health";
import type { Thresholds } from "@outrider/health";
import { createApi, createHealth, serveDocs } from "@outrider/http";
import type { Api, ApiDeps, ApiLimits, DocsDeps, HealthDeps } from "@outrider/http";
import type { WriteRecord } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import type { Decodes } from "@outrider/redrive";
import { Hono } from "hono";
import type { Authenticate } from "./authenticate.ts";
import { requireKey } from "./authenticate.ts";
import { bulkRoutes } from "./bulk-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { handlerRoutes } from "./handler-routes.ts";
import { healthRoutes } from "./health-routes.ts";
import { auditRoutes, keyRoutes } from "./key-routes.ts";
import { letterRoutes } from "./letter-routes.ts";
import { headers } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { tags } from "./operation-texts.ts";
import { createLive, liveDefaults } from "./live.ts";
import type { Ask, LiveLimits } from "./live.ts";
import { createOutboxLook } from "./outbox-look.ts";
import { outboxRoutes } from "./outbox-routes.ts";
import { parkedRoutes } from "./parked-routes.ts";
import { partitionRoutes } from "./partition-routes.ts";
import type { QueuePages } from "./queue-pages.ts";
import { redriveRoutes } from "./redrive-routes.ts";
import { replayRoutes } from "./replay-routes.ts";
import { retryQueueRoutes } from "./retry-queue-routes.ts";
import { readRunning } from "./running.ts";

export type OperationsDeps = Readonly<{
  sql: Sql;
  log: Log;
  /** A new UUID v7. */
  newId(): string;
  /** Without it, what only Kafka knows is not told. */
  kafka?: TopicReader | undefined;
  /** Without them there are no timers to be looked at. */
  retryQueues?: RetryQueues | undefined;
  /** What says why an event cannot be read by the schemas of today. */
  loadDecodes(): Promise<Decodes>;
  writeRecord: WriteRecord;
  /** Up to where things count as well. */
  thresholds?: Thresholds | undefined;
  /** An operation was begun or resumed: whoever drives them shall look. */
  wake(): void;
}>;

/** An edited payload may be a megabyte, and base64 makes a third more of it. */
const bodyBytesMax = 2 * 1024 * 1024;

const routes = (deps: OperationsDeps) => {
  const limits = deps.thresholds ?? thresholds;
  const lookAtOutbox = createOutboxLook(deps.sql, limits);
  const running = () => readRunning({ ...deps, limits });
  return new Hono<OperationsEnv>()
    .route("/parked", parkedRoutes(deps))
    .route("/dead-letters", letterRoutes(deps))
    .route("/redrives", redriveRoutes(deps))
    .route("/replays", replayRoutes(deps))
    .route("/partitions", partitionRoutes(deps))
    .route("/operations", bulkRoutes(deps))
    .route("/events", eventRoutes(deps))
    .route("/retry-queue", retryQueueRoutes(deps))
    .route("/keys", keyRoutes(deps))
    .route("/audit", auditRoutes(deps))
    .route("/", handlerRoutes(deps, running))
    .route("/", outboxRoutes(deps, lookAtOutbox))
    .route("/", healthRoutes({ lookAtOutbox, readRunning: running }));
};

const v1 = (deps: OperationsDeps) => new Hono<OperationsEnv>().route("/v1", routes(deps));

/** For `hc` of hono/client. */
export type OperationsRoutes = ReturnType<typeof v1>;

const info = {
  title: "Outrider operations",
  version: "1.0.0",
  description:
    "What waits, what failed, and what becomes of it. Every request needs a key, as " +
    "`Authorization: Bearer <key>`: press **Authorize** and enter one. `outrider keys create` " +
    "makes them, and `outrider dev` prints one. Errors are RFC 9457 problems.\n\n" +
    "[The retry queues](/queues) have pages of their own. A browser asks there for a user and a " +
    "password: any user, and the key as the password.",
};

const securitySchemes = {
  key: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "ork_, its number, _ and 43 characters",
    description: "A key, made by `outrider keys create`. An operation says which scope it needs.",
  },
} as const;

export type ServedDeps = OperationsDeps &
  Readonly<{
    authenticate: Authenticate;
    queuePages?: Pick<QueuePages, "app"> | undefined;
    /** Aborted when live lists have to end. */
    stopping?: AbortSignal | undefined;
  }> &
  HealthDeps &
  Pick<ApiDeps, "observe"> &
  Pick<DocsDeps, "readAsset">;

/** Health needs no key, and nothing else is without one: not a byte of a body is read before. */
export const createOperationsApi = (
  deps: ServedDeps,
  limits: ApiLimits & Partial<LiveLimits> = {},
): Api => {
  const needKey = requireKey(deps.authenticate);
  const guard: typeof needKey = (c, next) => (isProbe(c.req) ? next() : needKey(c, next));
  const app = createApi({ ...deps, guard }, { bodyBytesMax, ...limits });
  app.route("/", createHealth(deps));
  const { stopping, queuePages } = deps;
  const { liveLookMs = liveDefaults.liveLookMs } = limits;
  const live = createLive({ ask: createAsk(deps, liveLookMs), stopping }, limits);
  app.route("/", new Hono<OperationsEnv>().use("/v1/*", live));
  app.route("/", v1(deps));
  if (queuePages) app.route("/queues", queuePages.app);
  serveDocs(app, { info, tags, headers, securitySchemes, readAsset: deps.readAsset });
  return app;
};

const isProbe = ({ method, path }: Readonly<{ method: string; path: string }>): boolean =>
  (method === "GET" || method === "HEAD") && (path === "/livez" || path === "/readyz");

/** The same answers without what is said of each request in the log, for lists that stay open. */
const createAsk = (deps: ServedDeps, lookMs: number): Ask => {
  const app = new Hono<OperationsEnv>();
  app.use((c, next) => {
    c.set("late", AbortSignal.timeout(lookMs));
    return next();
  });
  app.use(requireKey(deps.authenticate)).route("/", v1(deps));
  app.onError((error) => {
    throw error;
  });
  return async (request, env) => app.fetch(request, env);
};

/** An operator who looks at this machine's own database waits as long as it takes. */
const localTimeoutMs = 600_000;

/** For a command on the machine itself: whoever may reach the database may everything. */
export const createLocalApi = (deps: Omit<OperationsDeps, "log">, name: string): Api => {
  const caller = { name, key: null, scopes: ["admin"] } as const;
  const guard = requireKey(async () => caller);
  const limits = { bodyBytesMax, timeoutMs: localTimeoutMs };
  const app = createApi({ ...deps, log: quiet, guard }, limits);
  app.route("/", v1({ ...deps, log: quiet }));
  return app;
};

/** What goes wrong is answered. */
const quiet: Log = {
  child: () => quiet,
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
};
