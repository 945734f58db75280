/** `outrider relay relayout` and `outrider relay guard`. */

import { isGuardOn, relayout, setGuard } from "@outrider/outbox";
import { withDatabase } from "./database.ts";
import type { Context } from "./main.ts";

export const relayRelayout = (context: Context, shards: number): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { report } = context;
    const step = report.step("relayout");
    try {
      const { layout } = await relayout(sql, {
        shards,
        onBusy: (sessions) => step.note(`waiting for ${sessions.join("; ") || "writers"}`),
      });
      report.say(`${shards} shards, layout ${layout}`);
      return 0;
    } finally {
      step.end();
    }
  });

export const relayGuard = (context: Context, wish: "on" | "off" | "status"): Promise<number> =>
  withDatabase(context, async (sql) => {
    if (wish !== "status") await setGuard(sql, wish === "on");
    context.report.say(`the guard is ${(await isGuardOn(sql)) ? "on" : "off"}`);
    return 0;
  });
