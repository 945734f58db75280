/**
 * Wakes idle shards. One statement looks over all of them; the pause between two looks grows from
 * `pollMinMs` to `pollMaxMs` while nothing comes, and a hint from a writer ends it. The same look
 * finds leases that were lost, since an empty read alone does not tell the two apart.
 */

import type { Log } from "@outrider/event";
import type { Lease } from "./lease.ts";
import type { IdleShard } from "./read.ts";

export type WakerDeps = Readonly<{
  findPending(owner: string, idle: readonly IdleShard[]): Promise<ReadonlyMap<number, boolean>>;
  owner: string;
  log: Log;
  onLost(lease: Lease): void;
}>;

export type Waker = Readonly<{
  /** Resolves when the shard may have something to read, or is lost, or is woken. */
  wait(idle: IdleShard): Promise<void>;
  /** Ends the shard's wait, or the next one if it does not wait now. */
  wake(shard: number): void;
  /** Somebody says that there is something to read. */
  hint(): void;
}>;

type Waiting = Readonly<{ idle: IdleShard; resolve(): void }>;

export const createWaker = (
  { findPending, owner, log, onLost }: WakerDeps,
  { pollMinMs, pollMaxMs }: Readonly<{ pollMinMs: number; pollMaxMs: number }>,
): Waker => {
  const waiting = new Map<number, Waiting>();
  const woken = new Set<number>();
  const pause = createPause();
  let isPolling = false;

  const wake = (shard: number): void => {
    const found = waiting.get(shard);
    if (!found) return void woken.add(shard);
    waiting.delete(shard);
    found.resolve();
  };

  const look = async (): Promise<boolean> => {
    const seen = [...waiting.values()].map((one) => one.idle);
    const found = await findPending(owner, seen);
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
      await pause.sleep(pollMs);
      if (waiting.size === 0) break;
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

  const wait = (idle: IdleShard): Promise<void> =>
    new Promise((resolve) => {
      if (woken.delete(idle.lease.shard)) return resolve();
      waiting.set(idle.lease.shard, { idle, resolve });
      if (!isPolling) void poll();
    });

  return { wait, wake, hint: pause.end };
};

/** A pause that can be cut short, also before it begins. */
export const createPause = () => {
  let isCut = false;
  let wakeUp: (() => void) | undefined;
  return {
    sleep: async (ms: number): Promise<void> => {
      if (!isCut) {
        let timer: NodeJS.Timeout | undefined;
        await new Promise<void>((resolve) => {
          wakeUp = resolve;
          timer = setTimeout(resolve, ms);
        });
        clearTimeout(timer);
        wakeUp = undefined;
      }
      isCut = false;
    },
    end: (): void => {
      isCut = true;
      wakeUp?.();
    },
  };
};
