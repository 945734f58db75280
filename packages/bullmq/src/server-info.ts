/**
 * What BullMQ asks a server about itself. It asks once, never again when that fails, and prints
 * what it thinks of the eviction policy; here it is asked until it answers, and the policy is told.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@outrider/event";
import type { Redis } from "ioredis";

export type InfoOptions = Readonly<{
  retryMs: number;
  isOver(): boolean;
  log: Log;
  /** Told of each answer's eviction policy. */
  onPolicy(policy: string): void;
}>;

const line = /^maxmemory_policy:(\S*)/m;
const rightPolicy = "noeviction";

/** Changes how this connection answers INFO, and gives it back. */
export const withServerInfo = (client: Redis, options: InfoOptions): Redis => {
  const { retryMs, isOver, log, onPolicy } = options;
  const info = client.info.bind(client);

  const askUntilAnswered = async (): Promise<string> => {
    for (let failures = 0; ; failures += 1) {
      try {
        return await info();
      } catch (error) {
        if (isOver()) throw error;
        if (failures === 0) log.warn({ err: error }, "Redis does not say what it is");
        await delay(retryMs);
      }
    }
  };

  const ask = async (): Promise<string> => {
    const text = await askUntilAnswered();
    const policy = line.exec(text)?.[1];
    if (policy !== undefined) onPolicy(policy);
    return text.replace(line, `maxmemory_policy:${rightPolicy}`);
  };

  // The connection itself asks with a callback, when it comes up.
  const answer = (...sections: Parameters<typeof info>) =>
    sections.length > 0 ? info(...sections) : ask();
  return Object.assign(client, { info: answer });
};

/** A function for `onPolicy` that tells a wrong policy, and only once. */
export const createPolicyWarning = (log: Log): ((policy: string) => void) => {
  let isTold = false;
  return (policy) => {
    if (policy === rightPolicy || isTold) return;
    isTold = true;
    log.warn({ policy }, `Redis may lose timers: its maxmemory-policy should be ${rightPolicy}`);
  };
};
