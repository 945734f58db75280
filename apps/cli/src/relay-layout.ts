/** `outrider relay relayout` and `outrider relay guard`. */

import { isGuardOn, relayout, setGuard } from "@outrider/outbox";
import { withDatabase } from "./database.ts";
import type { Context } from "./main.ts";
import { record } from "./operations.ts";

export const relayRelayout = (context: Context, shards: number): Promise<number> =>
  withDatabase(context, async (sql) => {
    const { report } = context;
    const step = report.step("relayout");
    try {
      const { layout } = await relayout(sql, {
        shards,
        onBusy: (sessions) => step.note(`waiting for ${sessions.join("; ") || "writers"}`),
      });
      const deed = { action: "relayout", target: "shards", details: { shards, layout } };
      await sql.begin((tx) => record(tx, deed));
      report.say(`${shards} shards, layout ${layout}`);
      return 0;
    } finally {
      step.end();
    }
  });

export const relayGuard = (context: Context, wish: "on" | "off" | "status"): Promise<number> =>
  withDatabase(context, async (sql) => {
    if (wish !== "status") {
      await setGuard(sql, wish === "on");
      const deed = { action: "setGuard", target: "outbox", details: { isOn: wish === "on" } };
      await sql.begin((tx) => record(tx, deed));
    }
    context.report.say(`the guard is ${(await isGuardOn(sql)) ? "on" : "off"}`);
    return 0;
  });
