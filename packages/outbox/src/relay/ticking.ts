/** Doing things in turn, and sooner when somebody says so. */

import type { Log } from "@outrider/event";
import type { Store } from "./store.ts";
import { createPause } from "./waker.ts";

/** Hints only make things sooner: without the connection that hears them all goes on. */
export const listen = (
  store: Store,
  { channel, onMessage, log }: Readonly<{ channel: string; onMessage(): void; log: Log }>,
): (() => Promise<void>) => {
  const listening = store.listen(channel, onMessage).catch((error: unknown) => {
    log.warn({ err: error, channel }, "hints are not heard; polling goes on");
    return async () => {};
  });
  return async () => {
    // One that never came about is not waited for.
    const end = await Promise.race([listening, Promise.resolve(undefined)]);
    await end?.().catch(() => {});
  };
};

/** Runs `act` at once and then after as long as it says, or sooner, never twice at a time. */
export const startTicking = (act: () => Promise<number>) => {
  const pause = createPause();
  let isOver = false;
  const run = async (): Promise<void> => {
    while (!isOver) await pause.sleep(await act());
  };
  const ended = run();
  return {
    soon: pause.end,
    stop: (): Promise<void> => {
      isOver = true;
      pause.end();
      return ended;
    },
  };
};

/** Lets callers in one at a time, in the order in which they came. */
export const createTurns = () => {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(act: () => Promise<T>): Promise<T> => {
    const turn = last.then(act, act);
    last = turn.catch(() => {});
    return turn;
  };
};
