/** A handler that does to its process what an event's key says. */

import { defineHandler } from "@outrider/inbox";
import { sql as query } from "drizzle-orm";
import { countedOn } from "./counted.ts";

const counted = countedOn("deadly");
export const { catalogue, count } = counted;

export const deadly = defineHandler({
  name: "test.deadly",
  on: [counted.definition],
  timeoutMs: 300,
  retry: { attemptsMax: 2, baseMs: 1, capMs: 1 },
  run: async ({ data: { key, n } }, { tx }) => {
    await tx.execute(query`insert into effects (key, n) values (${key}, ${n})`);
    if (key === "kills") process.kill(process.pid, "SIGKILL");
    if (key === "exits") process.exit(0);
    if (key === "hangs") for (;;);
    if (key === "throws") setImmediate(() => Promise.reject(new Error("nobody waits for this")));
    if (key === "throws") await new Promise((resolve) => setTimeout(resolve, 50));
    if (key === "slow") await new Promise((resolve) => setTimeout(resolve, 200));
    if (key === "fails") throw new Error("an ordinary failure");
  },
});
