/** Handlers, the processes that run them, and whether all of that is well. */

import type { RetryQueues } from "@outrider/bullmq";
import { isFault } from "@outrider/event";
import { judgeRunning } from "@outrider/health";
import type { Finding } from "@outrider/health";
import { readWorkers } from "@outrider/inbox";
import { readHandlerLags } from "./lag.ts";
import type { HandlerLag, LagDeps } from "./lag.ts";

export type Running = Readonly<{
  handlers: readonly HandlerLag[];
  /** Those of the handlers, and what concerns all of them. */
  findings: readonly Finding[];
}>;

export type RunningDeps = LagDeps & Readonly<{ retryQueues?: RetryQueues | undefined }>;

export const readRunning = async (deps: RunningDeps): Promise<Running> => {
  const [{ handlers, failure }, workers, timersFailure] = await Promise.all([
    readHandlerLags(deps),
    readWorkers(deps.sql),
    tryTimers(deps),
  ]);
  const common = judgeRunning({ workers, failure, timersFailure, limits: deps.limits });
  return { handlers, findings: distinct([...handlers.flatMap((one) => one.findings), ...common]) };
};

/** No app has a queue of this name: to read it only shows that Redis answers. */
const noQueue = "health";

const tryTimers = async ({ retryQueues }: RunningDeps): Promise<string | undefined> => {
  try {
    await retryQueues?.read(noQueue, { jobsMax: 1 });
    return undefined;
  } catch (error) {
    if (!isFault(error)) throw error;
    return error.message;
  }
};

/** Handlers of one group find the same. */
const distinct = (findings: readonly Finding[]): Finding[] => [
  ...new Map(findings.map((one) => [JSON.stringify(one), one])).values(),
];
