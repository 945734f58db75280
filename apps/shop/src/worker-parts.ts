/** What the worker and the process for its suspect events have in common. */

import type { Handler } from "@outrider/inbox";
import { createOutbound, isOrigin, outboundDefaults } from "@outrider/outbound";
import type { Outbound } from "@outrider/outbound";
import { connectDatabase } from "@outrider/postgres";
import type { ConnectionSettings, Database } from "@outrider/postgres";
import { setting } from "@outrider/runtime";
import * as v from "valibot";
import { orderStatsHandler } from "./handlers/order-stats.ts";
import { orderSummary } from "./handlers/order-summary.ts";
import { createReceipt, service } from "./handlers/receipt.ts";

/** Of handlers that name none. */
export const group = "shop";

export type HandlerParts = Readonly<{ receiptsUrl: string; outbound: Outbound }>;

export const createHandlers = ({ receiptsUrl, outbound }: HandlerParts): readonly Handler[] => [
  orderSummary,
  orderStatsHandler,
  createReceipt({ url: receiptsUrl, outbound }),
];

type WorkerSettings = v.InferOutput<typeof workerSchema>;

export const handlerParts = (settings: WorkerSettings): HandlerParts => {
  const { receiptsUrl, outboundAllowedOrigins: allowedOrigins } = settings;
  const { outboundConnectMaxMs: connectMaxMs, outboundAnswerMaxMs: answerMaxMs } = settings;
  const { outboundAnswerBytesMax: answerBytesMax } = settings;
  const limits = { connectMaxMs, answerMaxMs, answerBytesMax };
  return { receiptsUrl, outbound: createOutbound({ allowedOrigins, ...limits }) };
};

/** Throws `forbidden` while it is certain that handlers cannot reach what they are told to. */
export const checkOutbound = ({ receiptsUrl, outbound }: HandlerParts): Promise<void> =>
  outbound.check(service, new URL(receiptsUrl));

/** To be described, and not to be run. */
const describedHandlers = (): readonly Handler[] =>
  createHandlers({ receiptsUrl: defaultReceiptsUrl, outbound: createOutbound() });

/** How many consumer groups a worker has. */
export const countGroups = (): number =>
  new Set(describedHandlers().map((handler) => handler.group ?? group)).size;

/** What the command needs to know of a handler that is to read a topic again. */
export const describeHandlers = () =>
  describedHandlers().map((handler) => {
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
  /** Origins that handlers may call though their addresses are not public. */
  outboundAllowedOrigins: v.optional(
    v.pipe(
      setting.list,
      v.check((all) => all.every(isOrigin), "must be like http://10.0.0.5:8080,https://b.internal"),
    ),
    [],
  ),
  /** For a service's name to be looked up and its connection to be opened. */
  outboundConnectMaxMs: v.optional(setting.integer(1, 60_000), outboundDefaults.connectMaxMs),
  /** For a request to be answered, and the answer to be read. */
  outboundAnswerMaxMs: v.optional(setting.integer(1, 600_000), outboundDefaults.answerMaxMs),
  /** Of a service's answer. */
  outboundAnswerBytesMax: v.optional(
    setting.integer(0, 1_000_000_000),
    outboundDefaults.answerBytesMax,
  ),
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
