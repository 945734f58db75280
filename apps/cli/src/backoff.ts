/** How long to wait before an app is started again. A pure function of how it went. */

const firstMs = 500;
const maxMs = 15_000;
/** An app that lived this long had recovered from whatever ended it before. */
const recoveredMs = 60_000;

/** Times the app has died in a row, counting this one: a long life begins a new row. */
export const deathsAfter = (deaths: number, livedMs: number): number =>
  livedMs >= recoveredMs ? 1 : deaths + 1;

/** 0.5 s after the first death, then twice as long each time, up to 15 s. */
export const restartDelayMs = (deaths: number): number =>
  Math.min(firstMs * 2 ** Math.max(deaths - 1, 0), maxMs);
