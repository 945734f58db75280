import { setTimeout as delay } from "node:timers/promises";

/** Acts, pauses, and so on, until it is aborted, which ends a pause but nothing that runs. */
export const repeat = async (
  pauseMs: number,
  signal: AbortSignal,
  act: () => Promise<void>,
): Promise<void> => {
  while (!signal.aborted) {
    await act();
    await delay(pauseMs, undefined, { signal }).catch(() => {});
  }
};
