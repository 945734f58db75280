/** A handler whose process ends with an event that says so, as fast as handlers are. */

import { appendFileSync } from "node:fs";
import { defineBatchHandler } from "@outrider/inbox";
import { rawSql } from "@outrider/postgres";
import { countedOn } from "./counted.ts";

export const mortalTopic = "mortal";
/** What an event's text says that ends whoever publishes, or handles, it. */
export const killers = { relay: "ends a relay", worker: "ends a worker" } as const;

const { definition, catalogue: known } = countedOn(mortalTopic);
export const catalogue = known;

/** Not without a trace: a line in a file of the drill's. */
export const die = (): void => {
  appendFileSync(process.env.DEATHS_FILE ?? "", `${process.pid}\n`);
  process.kill(process.pid, "SIGKILL");
};

export const mortal = defineBatchHandler({
  ...{ name: "mortal.effects", onBury: "skip" },
  on: [definition],
  run: async (events, { tx }) => {
    await rawSql(tx)`
      insert into public.effects (key, n)
      select * from unnest(${events.map(({ data }) => data.key)}::text[],
        ${events.map(({ data }) => data.n)}::int[])`;
    if (events.some(({ data }) => data.text === killers.worker)) die();
  },
});
