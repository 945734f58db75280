/** What is wrong with some keys while the others are measured. */

import { setTimeout as delay } from "node:timers/promises";
import { fault, partitionOf } from "@outrider/event";

export const partitions = 12;

const partitionIn = (key: string): number => partitionOf(Buffer.from(key), partitions);

/** The keys that can be in trouble share a partition: those beside them suffer most. */
const inTrouble = (kind: string): string => {
  for (let n = 0; ; n += 1) if (partitionIn(`${kind}-${n}`) === 0) return `${kind}-${n}`;
};

/** All of them get their events in every way, so that only the trouble differs. */
export const troubled = {
  slow: inTrouble("slow"),
  failing: inTrouble("failing"),
  poisoned: inTrouble("poisoned"),
} as const;

export const isTroubled = (key: string): boolean => Object.values(troubled).includes(key);

/** Shares its partition with them. */
export const isBeside = (key: string): boolean => partitionIn(key) === 0;

/** How long an event of the slow key takes. */
export const slowMs = 500;

export type KeyWay = Readonly<{
  has: readonly (keyof typeof troubled)[];
  /** Of the handler: transactions of a partition at the same time. */
  concurrency: number;
}>;

export const keyWays: Readonly<Record<string, KeyWay>> = {
  calm: { has: [], concurrency: 1 },
  slow: { has: ["slow"], concurrency: 1 },
  "slow, 8 at once": { has: ["slow"], concurrency: 8 },
  failing: { has: ["failing", "poisoned"], concurrency: 1 },
};

/** What an event of such a key does to its handler, beside the effect. */
export const suffer = async ({ has }: KeyWay, key: string, n: number): Promise<void> => {
  const kind = has.find((one) => troubled[one] === key);
  if (kind === "slow") return delay(slowMs);
  if (kind === "failing" && n === 1) throw new Error("not now");
  if (kind === "poisoned" && n === 1) throw fault("invalid", "never");
};
