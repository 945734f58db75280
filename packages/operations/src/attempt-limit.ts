/**
 * Bounds how often somebody may present what is no key. The same wrong key counts once: whoever
 * tries keys tries many, and a forgotten job with a revoked one locks nobody else out.
 */

import { createHash } from "node:crypto";

export type AttemptLimit = Readonly<{
  /** How long an address has to wait; undefined: it may try. */
  waitMs(address: string): number | undefined;
  failed(address: string, key: string): void;
}>;

export type AttemptLimits = Readonly<{
  /** Wrong keys of an address in a window; behind them it has to wait for the window's end. */
  failuresMax: number;
  windowMs: number;
  /** Addresses that are remembered: the first ones are forgotten when there are more. */
  addressesMax: number;
}>;

const defaults: AttemptLimits = { failuresMax: 20, windowMs: 60_000, addressesMax: 10_000 };

/**
 * Who may be taken for one: of IPv6 a network of 64 bits, in which everybody has as many addresses
 * as he likes.
 */
export const networkOf = (address: string): string => {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [before = [], behind = []] = address
    .toLowerCase()
    .split("::")
    .map((part) => (part === "" ? [] : part.split(":")));
  const zeros = Array<string>(Math.max(0, 8 - before.length - behind.length)).fill("0");
  return [...before, ...zeros, ...behind]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
};

export const createAttemptLimit = (
  monotonicMs: () => number,
  settings: Partial<AttemptLimits> = {},
): AttemptLimit => {
  const { failuresMax, windowMs, addressesMax } = { ...defaults, ...settings };
  const windows = new Map<string, Readonly<{ wrong: Set<string>; untilMs: number }>>();

  const windowOf = (network: string) => {
    const found = windows.get(network);
    if (found && found.untilMs > monotonicMs()) return found;
    windows.delete(network);
    return undefined;
  };

  return {
    waitMs: (address) => {
      const window = windowOf(networkOf(address));
      if (!window || window.wrong.size < failuresMax) return undefined;
      return window.untilMs - monotonicMs();
    },
    failed: (address, key) => {
      const network = networkOf(address);
      const window = windowOf(network);
      const hash = createHash("sha256").update(key).digest("base64");
      if (window) {
        window.wrong.add(hash);
        return;
      }
      const [first] = windows.keys();
      if (windows.size >= addressesMax && first !== undefined) windows.delete(first);
      windows.set(network, { wrong: new Set([hash]), untilMs: monotonicMs() + windowMs });
    },
  };
};
