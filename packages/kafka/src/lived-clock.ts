/**
 * A clock that stops while its process is stopped or its event loop is blocked. Time in which
 * nobody could look is no reason to judge what was there before it.
 */

export type LivedClock = Readonly<{ nowMs(): number }>;

const tickMs = 250;
/** More than this between two ticks is time that the process did not have. */
const tickMaxMs = 2 * tickMs;

export const createLivedClock = (monotonicMs = () => performance.now()): LivedClock => {
  let livedMs = 0;
  let lastMs = monotonicMs();
  const tick = (): void => {
    const nowMs = monotonicMs();
    livedMs += Math.min(nowMs - lastMs, tickMaxMs);
    lastMs = nowMs;
  };
  setInterval(tick, tickMs).unref();
  return { nowMs: () => livedMs };
};
