import { setTimeout as delay } from "node:timers/promises";

/** The work's result, or "late" when it takes longer; it is not stopped, and may fail unheard. */
export const within = async <T>(timeoutMs: number, work: Promise<T>): Promise<T | "late"> => {
  const giveUp = new AbortController();
  const late = delay(timeoutMs, "late" as const, giveUp).catch(() => "late" as const);
  try {
    return await Promise.race([work, late]);
  } finally {
    giveUp.abort();
  }
};
