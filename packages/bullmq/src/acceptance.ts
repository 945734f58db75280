/** Whether Redis takes what timers need, and a line in the log for each time that this changes. */

import { isFault } from "@outrider/event";
import type { Log } from "@outrider/event";
import { isAnswer, meaningOf } from "./refusal.ts";

export type Acceptance = Readonly<{
  /** Redis has refused a command. */
  refused(error: Error): void;
  /** Something is written, whose end says what Redis makes of it. Throws what that throws. */
  note(writing: Promise<void>): Promise<void>;
  /** Why it refuses timers, in words; undefined when it does not. */
  reason(): string | undefined;
}>;

export type AcceptanceOptions = Readonly<{
  log: Log;
  /** What is taken so soon after a refusal says nothing: some commands are, and others are not. */
  holdMs: number;
  monotonicMs(): number;
}>;

export const createAcceptance = ({ log, holdMs, monotonicMs }: AcceptanceOptions): Acceptance => {
  let last: Readonly<{ error: Error; atMs: number }> | undefined;
  const reason = (): string | undefined =>
    last && `Redis refuses timers: ${meaningOf(last.error) ?? last.error.message.split("\n")[0]}`;
  const refused = (error: Error): void => {
    const isNew = last === undefined;
    last = { error, atMs: monotonicMs() };
    if (isNew) log.warn({ err: error }, `${reason()}`);
  };
  return {
    refused,
    note: async (writing) => {
      try {
        await writing;
      } catch (error) {
        if (isFault(error) && isAnswer(error.cause)) refused(error.cause);
        throw error;
      }
      if (last === undefined || monotonicMs() - last.atMs < holdMs) return;
      last = undefined;
      log.info({}, "Redis takes timers again");
    },
    reason,
  };
};
