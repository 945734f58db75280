/** Runs of one event by itself that have failed, each with its reason, for people to read. */

import type { Sql, TransactionSql } from "@outrider/postgres";
import type { Classified } from "../classify.ts";

/** How the run has ended; `unrun`: there was none, and something else is to blame. */
export type RunEnd = "failed" | "killed" | "unrun";

export type FailedRun = Readonly<{
  handler: string;
  eventId: string;
  /** Its number, where it counts. */
  attempt: number;
  failure: Classified;
  end: RunEnd;
}>;

/** Longer messages are cut: an event may fail many times, and its letter has the last one whole. */
const messageCharsMax = 4000;

/** In the transaction that stores what becomes of the event, where anything does. */
export const recordFailure = async (
  tx: Sql | TransactionSql,
  { handler, eventId, attempt, failure, end }: FailedRun,
): Promise<void> => {
  if (end === "unrun") return;
  const kind = end === "killed" ? end : failure.kind;
  const counts = kind === "retryable" || kind === "fatal";
  await tx`
    insert into outrider.failed_attempts (handler, event_id, attempt, kind, code, message)
    values (${handler}, ${eventId}, ${counts ? attempt : null}, ${kind}, ${failure.code},
      left(${failure.message}, ${messageCharsMax}))`;
};
