/**
 * One connection to Redis for many questions of people: opened when it is needed, kept while it
 * answers, and opened anew after that. Nothing waits for a Redis that is away, and in between
 * nobody knocks at its door.
 */

import { fault, isFault, within } from "@outrider/event";
import { Redis } from "ioredis";
import { impatient } from "./connection.ts";

export type KeptConnection = Readonly<{
  /**
   * Throws Fault `unavailable` where Redis is away, `timeout` where it takes too long, and what is
   * a Fault already.
   */
  ask<T extends object>(work: (client: Redis) => Promise<T>): Promise<T>;
  /** What is under way rejects; nothing can be asked any more. */
  close(): Promise<void>;
}>;

type Held = Readonly<{ client: Redis; opening: Promise<void> }>;

/** How long a connection that is given up may take to end. */
const disconnectTimeoutMs = 100;

export const createKeptConnection = (
  redisUrl: string,
  /** How long Redis may take for one question, connecting included. */
  { timeoutMs }: Readonly<{ timeoutMs: number }>,
): KeptConnection => {
  let held: Held | undefined;
  let isClosed = false;

  const open = (): Held => {
    const client = new Redis(redisUrl, {
      ...{ ...impatient, lazyConnect: true, retryStrategy: () => null },
      ...{ connectTimeout: timeoutMs, disconnectTimeout: disconnectTimeoutMs },
    });
    // What it says is the commands' to say.
    client.on("error", () => {});
    client.once("end", () => forget(client));
    const opening = client.connect();
    opening.catch(() => forget(client));
    return { client, opening };
  };

  const forget = (client: Redis): void => {
    if (held?.client === client) held = undefined;
  };

  const drop = ({ client }: Held): void => {
    forget(client);
    // Ends what waits for an answer, too.
    client.disconnect();
  };

  return {
    ask: async (work) => {
      if (isClosed) throw fault("unavailable", "The connection to Redis is closed");
      const one = (held ??= open());
      const asked = one.opening.then(() => work(one.client));
      const answer = await within(timeoutMs, asked).catch((cause: unknown) => {
        if (isFault(cause)) throw cause;
        throw fault("unavailable", "Redis cannot be asked for its timers", { cause });
      });
      if (answer !== "late") return answer;
      drop(one);
      throw fault("timeout", `Redis did not answer within ${timeoutMs} ms`);
    },
    close: async () => {
      isClosed = true;
      if (held) drop(held);
    },
  };
};
