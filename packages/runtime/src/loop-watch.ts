/**
 * Sees from a thread of its own when the process's event loop is blocked, which the process cannot
 * see itself, and says what was running then. Its stack cannot be had: Node answers an inspector of
 * another thread only when the loop is free again. Node only.
 */

import { Worker } from "node:worker_threads";

export type LoopWatchSettings = Readonly<{
  /** Of the process, in its log lines. */
  name: string;
  /** What may run in it; one that runs is told of. */
  parts: readonly string[];
  /** How long the loop may be blocked before it is told. */
  warnAfterMs?: number;
  /** How long before the process is ended: what never returns is found when another one runs it. */
  endAfterMs?: number;
}>;

export type LoopWatch = Readonly<{
  /** A part starts to run, or has ended; several at a time may. */
  running(part: string, isRunning: boolean): void;
  stop(): Promise<void>;
}>;

/** What the thread is given. `counts[0]` is the beat, then one count for each part. */
export type Watched = Readonly<{
  counts: Int32Array;
  parts: readonly string[];
  name: string;
  beatMs: number;
  warnAfterMs: number;
  endAfterMs: number;
}>;

const beatMs = 200;

export const watchLoop = ({
  name,
  parts,
  warnAfterMs = 2000,
  endAfterMs = 30_000,
}: LoopWatchSettings): LoopWatch => {
  const bytes = Int32Array.BYTES_PER_ELEMENT * (parts.length + 1);
  const counts = new Int32Array(new SharedArrayBuffer(bytes));
  const indexes = new Map(parts.map((part, at) => [part, at + 1]));
  const beat = setInterval(() => Atomics.add(counts, 0, 1), beatMs);
  const watched: Watched = { counts, parts, name, beatMs, warnAfterMs, endAfterMs };
  const thread = new Worker(new URL("./loop-thread.ts", import.meta.url), { workerData: watched });
  beat.unref();
  thread.unref();
  return {
    running: (part, isRunning) => {
      const at = indexes.get(part);
      if (at !== undefined) Atomics.add(counts, at, isRunning ? 1 : -1);
    },
    stop: async () => {
      clearInterval(beat);
      await thread.terminate();
    },
  };
};
