/**
 * `/v1/replays`: topics that handlers read again. One is begun by the command `outrider replay`, on
 * a machine with the handler's code.
 */

import { cancelReplay, listReplays, readReplay } from "@outrider/redrive";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, doneForm, id, when } from "./forms.ts";
import { idParam, listQuery } from "./inputs.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { idPage, pageOf, pageProblems } from "./page.ts";

const states = ["running", "done", "cancelled"] as const;

const summary = {
  id,
  state: v.picklist(states),
  handler: v.string(),
  ranAs: v.string(),
  topic: v.string(),
  by: v.string(),
  reason: v.string(),
  createdAt: when,
  changedAt: when,
};

const replay = v.strictObject({
  ...summary,
  ranges: v.array(v.strictObject({ partition: count, begin: count, next: count, until: count })),
  records: count,
  passed: count,
  parked: count,
  dead: count,
});

export const replayRoutes = ({ sql }: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listReplays",
        scope: "events:read",
        summary: "Replays, the newest first",
        answer: [200, "A page of replays", pageOf(v.strictObject(summary))],
        problems: pageProblems,
      }),
      listQuery({ state: v.optional(v.picklist(states, `must be one of ${states.join(", ")}`)) }),
      async (c) => {
        const { state, ...asked } = c.req.valid("query");
        const page = await idPage(asked, ({ limit, last }) =>
          listReplays(sql, { limit, before: last, state }),
        );
        return c.json(page);
      },
    )
    .get(
      "/:id",
      look({
        id: "getReplay",
        scope: "events:read",
        summary: "How far a replay is",
        answer: [200, "The replay", replay],
        problems: { 404: "There is no such replay" },
      }),
      idParam("replay"),
      async (c) => c.json(await readReplay(sql, Number(c.req.valid("param").id))),
    )
    .post(
      "/:id/cancel",
      operation({
        id: "cancelReplay",
        scope: "dead-letters:redrive",
        summary: "End a replay; what has been run stays so",
        answer: [200, "It is cancelled", doneForm],
        problems: { 404: "There is no such replay", 409: "It is over" },
      }),
      idParam("replay"),
      async (c) => {
        const number = Number(c.req.valid("param").id);
        await change(c, { sql, target: `replays/${number}` }, (tx) => cancelReplay(tx, number));
        return c.json({ id: number });
      },
    );
