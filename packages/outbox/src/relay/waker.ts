/**
 * Reads for idle shards. One statement looks over all of them and brings what it finds; the pause
 * between two looks grows from `pollMinMs` to `pollMaxMs` while nothing comes, and a hint from a
 * writer ends it. A lease that was lost is not noticed here: its renewal tells.
 */

import type { Log } from "@outrider/event";
import type { Read, Reading } from "./pass.ts";
import type { PendingRow, ReadRequest } from "./read.ts";

export type WakerDeps = Readonly<{
  look(
    requests: readonly ReadRequest[],
    bytesMax: number,
  ): Promise<ReadonlyMap<number, readonly PendingRow[]>>;
  log: Log;
}>;

export type WakerLimits = Readonly<{
  pollMinMs: number;
  pollMaxMs: number;
  /** Most bytes of payload that one look brings. */
  batchBytesMax: number;
}>;

export type Waker = Readonly<{
  /**
   * Resolves with what there is to read, or with nothing when the shard is woken. `plan` is asked
   * before each look.
   */
  wait(shard: number, plan: () => Read): Promise<Reading | undefined>;
  /** Ends the shard's wait, or the next one if it does not wait now. */
  wake(shard: number): void;
  /** Somebody says that there is something to read. */
  hint(): void;
}>;

type Waiting = Readonly<{ plan(): Read; resolve(reading?: Reading): void }>;

export const createWaker = (
  { look, log }: WakerDeps,
  { pollMinMs, pollMaxMs, batchBytesMax }: WakerLimits,
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

  /** Returns whether it has found anything. */
  const lookOver = async (): Promise<boolean> => {
    const asked = [...waiting].map(([shard, one]) => ({ shard, one, read: one.plan() }));
    const found = await look(
      asked.map(({ read }) => read.request),
      batchBytesMax,
    );
    for (const { shard, one, read } of asked) {
      const reading = read.take(found.get(shard) ?? []);
      // Somebody who waits again has published meanwhile, perhaps these very rows.
      if (reading.rows.length === 0 || waiting.get(shard) !== one) continue;
      waiting.delete(shard);
      one.resolve(reading);
    }
    return found.size > 0;
  };

  const poll = async (): Promise<void> => {
    isPolling = true;
    for (let pollMs = pollMinMs; waiting.size > 0; pollMs = Math.min(pollMs * 2, pollMaxMs)) {
      await pause.sleep(pollMs);
      if (waiting.size === 0) break;
      try {
        if (await lookOver()) pollMs = pollMinMs / 2;
      } catch (error) {
        log.warn({ err: error }, "idle shards could not be looked over");
        // Each reads for itself, meets the same trouble and backs off.
        for (const shard of [...waiting.keys()]) wake(shard);
      }
    }
    isPolling = false;
  };

  const wait: Waker["wait"] = (shard, plan) =>
    new Promise((resolve) => {
      if (woken.delete(shard)) return resolve(undefined);
      waiting.set(shard, { plan, resolve });
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
