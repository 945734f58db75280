/** What queues of timers hold, for operators. */

import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { createKeptConnection } from "./kept-connection.ts";
import { checkName, prefix } from "./sender.ts";
import type { TimerData } from "./sender.ts";

/** In the order in which a job passes them; waiting are those that are due and not taken yet. */
export const retryStates = ["delayed", "waiting", "active", "failed"] as const;
export type RetryState = (typeof retryStates)[number];

export type RetryQueue = Readonly<{
  counts: Readonly<Record<RetryState, number>>;
  /** In the order in which they are due, or were. */
  jobs: readonly RetryJob[];
  /** All jobs of these states are in the list. */
  isWhole: boolean;
}>;

export type RetryJob = Readonly<{
  id: string;
  /** The id that the timer was set with. */
  timer: string;
  state: RetryState;
  dueAt: Date;
  /** When a process took it, the last time. */
  startedAt: Date | null;
  attemptsMade: number;
  failedReason: string | null;
}>;

export type RetryQueues = Readonly<{
  /**
   * Throws Fault `unavailable` where Redis is away, `timeout` where it takes too long, and
   * `settings_invalid` for what is no name of a queue.
   */
  read(queue: string, limits?: Readonly<{ jobsMax?: number }>): Promise<RetryQueue>;
  close(): Promise<void>;
}>;

export type RetryQueuesSettings = Readonly<{
  /** How long Redis may take for one reading, connecting included. */
  timeoutMs?: number;
}>;

const defaults = { timeoutMs: 3000 } as const;
const jobsMaxDefault = 100;

/** Nothing is opened before the first reading. */
export const openRetryQueues = (
  redisUrl: string,
  settings: RetryQueuesSettings = {},
): RetryQueues => {
  const { ask, close } = createKeptConnection(redisUrl, { ...defaults, ...settings });
  return {
    read: async (queue, { jobsMax = jobsMaxDefault } = {}) => {
      checkName(queue);
      return ask((client) => readQueue(client, queue, jobsMax));
    },
    close,
  };
};

const readQueue = async (client: Redis, name: string, jobsMax: number): Promise<RetryQueue> => {
  const queue = openQueue(name, client);
  try {
    // In this order, so that none is missed which moves on meanwhile.
    const [counts, ...lists] = await Promise.all([
      queue.getJobCounts(...retryStates),
      ...retryStates.map((state) => queue.getJobs([state], 0, jobsMax, true)),
    ]);
    const found = new Map<string, RetryJob>();
    for (const [at, state] of retryStates.entries()) {
      for (const job of lists[at] ?? []) {
        const shown = describeJob(job, state);
        found.set(shown.id, shown);
      }
    }
    const jobs = [...found.values()].toSorted((a, b) => a.dueAt.getTime() - b.dueAt.getTime());
    const count = (state: RetryState) => counts[state] ?? 0;
    return {
      counts: {
        delayed: count("delayed"),
        waiting: count("waiting"),
        active: count("active"),
        failed: count("failed"),
      },
      jobs: jobs.slice(0, jobsMax),
      isWhole: jobs.length <= jobsMax,
    };
  } finally {
    // The connection stays open.
    await queue.close();
  }
};

/** A queue for reading over a connection of the caller's. */
export const openQueue = (name: string, client: Redis): Queue<TimerData> => {
  const queue = new Queue<TimerData>(name, {
    ...{ connection: client, prefix },
    ...{ skipVersionCheck: true, skipWaitingForReady: true, skipMetasUpdate: true },
  });
  // The commands say it, too.
  queue.on("error", () => {});
  return queue;
};

type Job = Awaited<ReturnType<Queue<TimerData>["getJobs"]>>[number];

const describeJob = (job: Job, state: RetryState): RetryJob => ({
  id: job.id ?? "",
  timer: job.data.id,
  state,
  // Not the job's own delay, which becomes zero when it is due.
  dueAt: new Date(job.timestamp + (job.opts.delay ?? 0)),
  startedAt: job.processedOn === undefined ? null : new Date(job.processedOn),
  attemptsMade: job.attemptsMade,
  failedReason: job.failedReason ?? null,
});
