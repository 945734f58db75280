/**
 * Connections to Redis that never give up: they come up whenever Redis does, and tell their errors
 * as events.
 */

import { backoffMs } from "@outrider/event";
import type { Backoff } from "@outrider/event";
import { Redis } from "ioredis";
import type { RedisOptions } from "ioredis";

export type ConnectionLimits = Readonly<{
  connectTimeoutMs: number;
  /** How long Redis may keep a worker's connection waiting for a byte. */
  answerTimeoutMs: number;
  /** How long a connection that is given up may take to end. */
  disconnectTimeoutMs: number;
  /** Pauses before a lost connection is opened again. */
  reconnect: Backoff;
}>;

export type Connect = (redisUrl: string, options: RedisOptions) => Redis;

export const createConnect =
  (limits: ConnectionLimits): Connect =>
  (redisUrl, options) =>
    new Redis(redisUrl, {
      connectTimeout: limits.connectTimeoutMs,
      disconnectTimeout: limits.disconnectTimeoutMs,
      retryStrategy: (failures) => backoffMs(failures, limits.reconnect),
      ...options,
    });

/** For who would rather know at once: nothing waits in this process for Redis to come back. */
export const impatient: RedisOptions = { enableOfflineQueue: false, maxRetriesPerRequest: 0 };

/** For a worker, as BullMQ wants it: a command waits for Redis, and is sent again. */
export const patient = ({ answerTimeoutMs }: ConnectionLimits): RedisOptions => ({
  maxRetriesPerRequest: null,
  // Without it, one whose other end is gone without a word would be waited for.
  socketTimeout: answerTimeoutMs,
});

export const isReady = (client: Redis): boolean => client.status === "ready";

/** Ends it, and rejects what waits on it. */
export const drop = (client: Redis): void => {
  // Between two tries ioredis would leave what waits to wait for ever; a try that ends does not.
  if (client.status === "reconnecting") client.connect().catch(() => {});
  if (client.status !== "end") client.disconnect();
};
