/**
 * `/v1/replays`: topics that handlers read again. One is begun by the command `outrider replay`, on
 * a machine with the handler's code.
 */

import { about } from "@outrider/http";
import { cancelReplay, listReplays, readReplay } from "@outrider/redrive";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, doneForm, form, id, when } from "./forms.ts";
import { idParam, listQuery } from "./inputs.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { idPage, pageOf, pageProblems } from "./page.ts";

const states = ["running", "done", "cancelled"] as const;
const stateFilter = about(
  v.picklist(states, `must be one of ${states.join(", ")}`),
  "Only those in this state",
);

const summary = {
  id: about(id, "Its number", 7),
  state: about(v.picklist(states), "Whether it goes on"),
  handler: about(v.string(), "The handler that reads again", "shop.order-summary"),
  ranAs: about(v.string(), "The name that its outcomes stand under", "shop.order-summary#7"),
  topic: about(v.string(), "The topic that is read", "order-events"),
  by: about(v.string(), "Who has begun it", "ann"),
  reason: about(v.string(), "Why", "a column was added"),
  createdAt: about(when, "When it was begun"),
  changedAt: about(when, "When it was changed, the last time"),
};

const replaySummary = form("ReplaySummary", "A topic that a handler reads again.", summary);

const range = form("ReplayRange", "How far a replay is in a partition.", {
  partition: about(count, "The partition", 3),
  begin: about(count, "The first offset that is read", 0),
  next: about(count, "Everything below this offset is done", 512),
  until: about(count, "The first offset that is not read", 1042),
});

const replay = form("Replay", "A replay, and how far it is.", {
  ...summary,
  ranges: about(v.array(range), "What is read, by partition"),
  records: about(count, "Records that are read in all", 1042),
  passed: about(count, "Records below which everything has an outcome", 512),
  parked: about(count, "Events under a name of its own that wait for another try", 0),
  dead: about(count, "Events under a name of its own that were given up", 0),
});

export const replayRoutes = ({ sql }: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listReplays",
        scope: "events:read",
        answer: [200, "A page of replays", pageOf(replaySummary)],
        problems: pageProblems,
      }),
      listQuery({ state: v.optional(stateFilter) }),
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
