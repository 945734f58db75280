/** Bounds how often somebody may present what is no key. */

export type AttemptLimit = Readonly<{
  /** How long an address has to wait; undefined: it may try. */
  waitMs(address: string): number | undefined;
  failed(address: string): void;
}>;

export type AttemptLimits = Readonly<{
  /** Failures of an address within a window; behind them it has to wait for the window's end. */
  failuresMax: number;
  windowMs: number;
  /** Addresses that are remembered: the first ones are forgotten when there are more. */
  addressesMax: number;
}>;

const defaults: AttemptLimits = { failuresMax: 20, windowMs: 60_000, addressesMax: 10_000 };

export const createAttemptLimit = (
  monotonicMs: () => number,
  settings: Partial<AttemptLimits> = {},
): AttemptLimit => {
  const { failuresMax, windowMs, addressesMax } = { ...defaults, ...settings };
  const windows = new Map<string, { failures: number; readonly untilMs: number }>();

  const windowOf = (address: string) => {
    const found = windows.get(address);
    if (found && found.untilMs > monotonicMs()) return found;
    windows.delete(address);
    return undefined;
  };

  return {
    waitMs: (address) => {
      const window = windowOf(address);
      if (!window || window.failures < failuresMax) return undefined;
      return window.untilMs - monotonicMs();
    },
    failed: (address) => {
      const window = windowOf(address);
      if (window) {
        window.failures += 1;
        return;
      }
      const [first] = windows.keys();
      if (windows.size >= addressesMax && first !== undefined) windows.delete(first);
      windows.set(address, { failures: 1, untilMs: monotonicMs() + windowMs });
    },
  };
};
