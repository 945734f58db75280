/** Handlers, the processes that run them, and whether all of that is well. */

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

export const readRunning = async (deps: LagDeps): Promise<Running> => {
  const [{ handlers, failure }, workers] = await Promise.all([
    readHandlerLags(deps),
    readWorkers(deps.sql),
  ]);
  const common = judgeRunning({ workers, failure, limits: deps.limits });
  return { handlers, findings: distinct([...handlers.flatMap((one) => one.findings), ...common]) };
};

/** Handlers of one group find the same. */
const distinct = (findings: readonly Finding[]): Finding[] => [
  ...new Map(findings.map((one) => [JSON.stringify(one), one])).values(),
];
