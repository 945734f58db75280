import type { Log } from "@outrider/event";

const nothing = (): void => {};

/** A log that keeps quiet. */
export const silentLog: Log = {
  child: () => silentLog,
  debug: nothing,
  info: nothing,
  warn: nothing,
  error: nothing,
};
