/**
 * Wakes idle shards. One statement looks over all of them; the pause between two looks grows from
 * `pollMinMs` to `pollMaxMs` while nothing comes. The same look finds leases that were lost, since
 * an empty read alone does not tell the two apart.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Log } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import type { Lease } from "./lease.ts";
import { findPending } from "./read.ts";

export type WakerDeps = Readonly<{
  sql: Sql;
  owner: string;
  log: Log;
  onLost(lease: Lease): void;
}>;

export type Waker = Readonly<{
  /** Resolves when the shard may have something to read, or is lost, or is woken. */
  wait(lease: Lease): Promise<void>;
  wake(shard: number): void;
}>;

type Waiting = Readonly<{ lease: Lease; resolve(): void }>;

export const createWaker = (
  { sql, owner, log, onLost }: WakerDeps,
  { pollMinMs, pollMaxMs }: Readonly<{ pollMinMs: number; pollMaxMs: number }>,
): Waker => {
  const waiting = new Map<number, Waiting>();
  let isPolling = false;

  const wake = (shard: number): void => {
    const found = waiting.get(shard);
    waiting.delete(shard);
    found?.resolve();
  };

  const look = async (): Promise<boolean> => {
    const seen = [...waiting.values()];
    const found = await findPending(
      sql,
      owner,
      seen.map((one) => one.lease),
    );
    let any = false;
    for (const { lease } of seen) {
      const pending = found.get(lease.shard);
      if (pending === undefined) onLost(lease);
      if (pending !== false) wake(lease.shard);
      any ||= pending === true;
    }
    return any;
  };

  const poll = async (): Promise<void> => {
    isPolling = true;
    for (let pollMs = pollMinMs; waiting.size > 0; pollMs = Math.min(pollMs * 2, pollMaxMs)) {
      await delay(pollMs);
      try {
        if (await look()) pollMs = pollMinMs;
      } catch (error) {
        log.warn({ err: error }, "idle shards could not be looked over");
        // Each reads for itself, meets the same trouble and backs off.
        for (const shard of [...waiting.keys()]) wake(shard);
      }
    }
    isPolling = false;
  };

  const wait = (lease: Lease): Promise<void> =>
    new Promise((resolve) => {
      waiting.set(lease.shard, { lease, resolve });
      if (!isPolling) void poll();
    });

  return { wait, wake };
};
