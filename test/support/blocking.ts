/** A process whose event loop is blocked for as long as it is told to, in ms. */

import { watchLoop } from "@outrider/runtime";

const [blockMs = 0, endAfterMs = 30_000] = process.argv.slice(2).map(Number);
const watch = watchLoop({ name: "test", parts: ["calm", "busy"], warnAfterMs: 500, endAfterMs });

const countForLong = (): void => {
  const endMs = performance.now() + blockMs;
  while (performance.now() < endMs);
};

setTimeout(() => {
  watch.running("busy", true);
  countForLong();
  watch.running("busy", false);
  setTimeout(() => void watch.stop(), 1000);
}, 300);
