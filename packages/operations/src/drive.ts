/**
 * Carries out what was begun: redrives, and decisions about many. They are rows, so several
 * processes may be at it, and one that ends leaves them to the next.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@outrider/event";
import type { WriteRecord } from "@outrider/inbox";
import type { Sql } from "@outrider/postgres";
import { driveRedrive, listRedrives } from "@outrider/redrive";
import { listBulk, stepBulk } from "./bulk.ts";

export type DriverDeps = Readonly<{
  sql: Sql;
  log: Pick<Log, "warn">;
  random(): number;
  writeRecord: WriteRecord;
}>;

export type DriverLimits = Readonly<{
  /** How often it looks for what others have begun. */
  drivePollMs: number;
  /** Most operations that are driven at the same time. */
  drivenMax: number;
}>;

const defaults: DriverLimits = { drivePollMs: 1000, drivenMax: 8 };

/** Running ones of each kind that are looked at. */
const runningMax = 1000;

export type Driver = Readonly<{
  /** Something may have been begun. */
  wake(): void;
  stop(): Promise<void>;
}>;

export const startDriver = (deps: DriverDeps, settings: Partial<DriverLimits> = {}): Driver => {
  const { drivePollMs, drivenMax } = { ...defaults, ...settings };
  const { sql, log, random, writeRecord } = deps;
  const stopping = new AbortController();
  const { signal } = stopping;
  const driven = new Map<string, Promise<void>>();
  let wake = Promise.withResolvers<void>();

  const drive = (name: string, act: () => Promise<unknown>): void => {
    if (driven.has(name) || driven.size >= drivenMax) return;
    const driving = act()
      .catch((error: unknown) => log.warn({ err: error, name }, "an operation could not go on"))
      .then(() => void driven.delete(name));
    driven.set(name, driving);
  };

  const driveBulk = async (id: number): Promise<void> => {
    while (!signal.aborted && (await stepBulk(sql, id, writeRecord)));
  };

  const look = async (): Promise<void> => {
    const page = { limit: runningMax, state: "running" } as const;
    const [redrives, operations] = [await listRedrives(sql, page), await listBulk(sql, page)];
    // The oldest first.
    for (const { id } of redrives.toReversed()) {
      drive(`redrive ${id}`, () => driveRedrive(sql, id, { log, random, signal }));
    }
    for (const { id } of operations.toReversed()) drive(`operation ${id}`, () => driveBulk(id));
  };

  const live = async (): Promise<void> => {
    while (!signal.aborted) {
      wake = Promise.withResolvers();
      await look().catch((error: unknown) => log.warn({ err: error }, "operations were not found"));
      const rest = delay(drivePollMs, undefined, { signal }).catch(() => {});
      await Promise.race([rest, wake.promise]);
    }
  };
  const living = live();

  return {
    wake: () => wake.resolve(),
    stop: async () => {
      stopping.abort();
      await living;
      await Promise.all(driven.values());
    },
  };
};
