/** What a process must give back before it ends: last registered, first released. */

import { fault } from "@outrider/event";
import type { Log } from "@outrider/event";

export type Release = () => void | Promise<void>;

/** `what` is named in the log when its release fails or hangs. */
export type OnStop = (what: string, release: Release) => void;

export type Releasers = Readonly<{
  onStop: OnStop;
  /** Never rejects; false when a releaser failed or did not end in time. */
  release(): Promise<boolean>;
}>;

/** Kept of the time for each releaser that still waits, so that one that hangs takes not all. */
const reserve = 0.05;

export const createReleasers = (log: Log, timeoutMs: number): Releasers => {
  const waiting: { what: string; release: Release }[] = [];
  let stopped: Promise<boolean> | undefined;

  const releaseAll = async (): Promise<boolean> => {
    const deadline = performance.now() + timeoutMs;
    let clean = true;
    for (let next = waiting.pop(); next; next = waiting.pop()) {
      const { what, release } = next;
      const leftMs = deadline - performance.now() - reserve * timeoutMs * (waiting.length + 1);
      try {
        await endOf(release, Math.max(leftMs, 0));
      } catch (err) {
        log.error({ err }, `${what} could not be released`);
        clean = false;
      }
    }
    return clean;
  };

  return {
    onStop: (what, release) => {
      waiting.push({ what, release });
      // Started while stopping: it goes the same way at once.
      if (stopped) stopped = stopped.then(releaseAll);
    },
    release: () => (stopped ??= releaseAll()),
  };
};

/** Rejects with what the release throws, or when it does not end in time. */
const endOf = async (release: Release, timeoutMs: number): Promise<void> => {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(fault("timeout", `It did not end in ${Math.round(timeoutMs)} ms`)),
    timeoutMs,
  );
  try {
    await Promise.race([release(), late]);
  } finally {
    clearTimeout(timer);
  }
};
