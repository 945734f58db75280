/** What the worker and the process for its suspect events have in common. */

import type { Handler } from "@outrider/inbox";
import { connectDatabase } from "@outrider/postgres";
import type { ConnectionSettings, Database } from "@outrider/postgres";
import { setting } from "@outrider/runtime";
import * as v from "valibot";
import { orderStatsHandler } from "./handlers/order-stats.ts";
import { orderSummary } from "./handlers/order-summary.ts";
import { createReceipt } from "./handlers/receipt.ts";

/** Of handlers that name none. */
export const group = "shop";

export const createHandlers = (receiptsUrl: string): readonly Handler[] => [
  orderSummary,
  orderStatsHandler,
  createReceipt({ url: receiptsUrl, fetch }),
];

/** How many consumer groups a worker has. */
export const countGroups = (): number =>
  new Set(createHandlers(defaultReceiptsUrl).map((handler) => handler.group ?? group)).size;

/** What the command needs to know of a handler that is to read a topic again. */
export const describeHandlers = () =>
  createHandlers(defaultReceiptsUrl).map((handler) => {
    return { name: handler.name, group: handler.group ?? group, topics: handler.topics };
  });

const defaultReceiptsUrl = "http://127.0.0.1:9190";
const dayMs = 86_400_000;

export const workerSchema = v.strictObject({
  databaseUrl: setting.databaseUrl,
  databasePoolMax: v.optional(setting.integer(1, 1000), 12),
  kafka: setting.kafka,
  host: setting.host,
  port: setting.port(9102),
  /** Of the service that sends receipts to customers. */
  receiptsUrl: v.optional(v.pipe(v.string(), v.url()), defaultReceiptsUrl),
  redisUrl: v.optional(setting.redisUrl),
  /** How long closed dead letters are kept. */
  lettersKeepMs: v.optional(setting.integer(3_600_000, Number.MAX_SAFE_INTEGER), 30 * dayMs),
  /** How long a call into the Kafka client may be out before the worker counts as dead. */
  callMaxMs: v.optional(setting.integer(1000, 3_600_000), 60_000),
  /** How long no broker may have answered before it does. */
  silenceMaxMs: v.optional(setting.integer(1000, 86_400_000), 300_000),
  /** How long a partition of its groups may be read by nobody before it does. */
  unreadMaxMs: v.optional(setting.integer(1000, 86_400_000), 300_000),
  /** How long what the metrics say about tables is told again before it is looked up anew. */
  metricsLookMs: v.optional(setting.integer(0, 3_600_000), 10_000),
  logLevel: setting.logLevel,
  deployment: setting.deployment,
  outriderRun: setting.outriderRun,
});

/** A statement that waits for another worker's row must not hold up its whole batch for long. */
export const connectHandlers = (
  settings: Pick<ConnectionSettings, "url" | "name" | "poolMax">,
): Database =>
  connectDatabase({ ...settings, idleInTransactionTimeoutMs: 30_000, lockTimeoutMs: 2_000 });
