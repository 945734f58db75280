/** What the worker and the process for its suspect events have in common. */

import { connectDatabase } from "@outrider/postgres";
import type { ConnectionSettings, Database } from "@outrider/postgres";
import { setting } from "@outrider/runtime";
import * as v from "valibot";
import { orderStatsHandler } from "./handlers/order-stats.ts";
import { orderSummary } from "./handlers/order-summary.ts";

/** Of handlers that name none. */
export const group = "shop";

export const handlers = [orderSummary, orderStatsHandler];

export const workerSchema = v.strictObject({
  databaseUrl: setting.databaseUrl,
  databasePoolMax: v.optional(setting.integer(1, 1000), 12),
  kafka: setting.kafka,
  host: setting.host,
  port: setting.port(9102),
  logLevel: setting.logLevel,
  deployment: setting.deployment,
});

/** A statement that waits for another worker's row must not hold up its whole batch for long. */
export const connectHandlers = (
  settings: Pick<ConnectionSettings, "url" | "name" | "poolMax">,
): Database =>
  connectDatabase({ ...settings, idleInTransactionTimeoutMs: 30_000, lockTimeoutMs: 2_000 });
