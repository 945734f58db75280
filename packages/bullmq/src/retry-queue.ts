/** What a queue of timers holds, for operators. */

import { fault, isFault, within } from "@outrider/event";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { checkName, prefix } from "./sender.ts";
import type { TimerData } from "./sender.ts";

export type RetryQueue = Readonly<{
  /** Of timers: waiting are those that are due and not taken yet. */
  counts: Readonly<Record<(typeof states)[number], number>>;
  /** In the order in which they are due. */
  jobs: readonly RetryJob[];
}>;

export type RetryJob = Readonly<{
  id: string;
  /** The id that the timer was set with. */
  timer: string;
  dueAt: Date;
}>;

export type ReadSettings = Readonly<{
  jobsMax?: number;
  /** How long Redis may take, connecting included. */
  timeoutMs?: number;
}>;

const defaults = { jobsMax: 100, timeoutMs: 3000 } as const;

const states = ["waiting", "delayed", "active", "failed"] as const;
const listed = ["active", "waiting", "delayed"] as const;

/**
 * Throws Fault `unavailable` where Redis is away, `timeout` where it takes too long, and
 * `settings_invalid` for what is no name of a queue.
 */
export const readRetryQueue = async (
  redisUrl: string,
  queue: string,
  settings: ReadSettings = {},
): Promise<RetryQueue> => {
  const { jobsMax, timeoutMs } = { ...defaults, ...settings };
  checkName(queue);
  const client = new Redis(redisUrl, { retryStrategy: () => null, connectTimeout: timeoutMs });
  const reader = new Queue<TimerData>(queue, {
    ...{ connection: client, prefix },
    ...{ skipVersionCheck: true, skipWaitingForReady: true, skipMetasUpdate: true },
  });
  // What it says is the commands' to say.
  client.on("error", () => {});
  reader.on("error", () => {});
  try {
    const found = await within(timeoutMs, read(reader, jobsMax));
    if (found === "late") throw fault("timeout", `Redis did not answer within ${timeoutMs} ms`);
    return found;
  } catch (cause) {
    if (isFault(cause)) throw cause;
    throw fault("unavailable", "Redis cannot be asked for its timers", { cause });
  } finally {
    client.disconnect();
  }
};

const read = async (queue: Queue<TimerData>, jobsMax: number): Promise<RetryQueue> => {
  const [counts, found] = await Promise.all([
    queue.getJobCounts(...states),
    jobsMax > 0 ? queue.getJobs([...listed], 0, jobsMax - 1, true) : [],
  ]);
  const jobs = found.map(({ id = "", data, timestamp, opts }) => ({
    ...{ id, timer: data.id },
    // Not the job's own delay, which becomes zero when it is due.
    dueAt: new Date(timestamp + (opts.delay ?? 0)),
  }));
  const count = (state: (typeof states)[number]) => counts[state] ?? 0;
  return {
    counts: {
      waiting: count("waiting"),
      delayed: count("delayed"),
      active: count("active"),
      failed: count("failed"),
    },
    jobs: jobs.toSorted((a, b) => a.dueAt.getTime() - b.dueAt.getTime()).slice(0, jobsMax),
  };
};
