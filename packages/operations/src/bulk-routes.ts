/** `/v1/operations`: decisions about many parked keys or dead letters, and how far they are. */

import { about } from "@outrider/http";
import { Hono } from "hono";
import type { Context } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { bulkActions, cancelBulk, createBulk, listBulk, readBulk } from "./bulk.ts";
import type { BulkName, NewBulk } from "./bulk.ts";
import { assertScope } from "./caller.ts";
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
const names = Object.keys(bulkActions) as [BulkName, ...BulkName[]];

const bulkOperation = form("Operation", "A decision about many, and how far it is.", {
  id: about(id, "Its number", 7),
  state: about(v.picklist(states), "Whether it goes on"),
  action: about(v.picklist(names), "What is done to each of them", "run-parked"),
  filter: about(v.record(v.string(), v.unknown()), "Which ones are meant", {
    handler: "shop.receipt",
  }),
  details: about(
    v.record(v.string(), v.unknown()),
    "How it is done: `until` of postponing, `behind` of burying",
    {},
  ),
  by: about(v.string(), "Who has begun it: the name of a key", "ann"),
  reason: about(v.string(), "Why", "the receipts service is back"),
  total: about(count, "How many there were when it was begun", 120),
  done: about(count, "How many are done", 50),
  refused: about(count, "How many had changed before their turn came", 1),
  message: about(
    v.nullable(v.string()),
    "Why the last one of these was refused; null: none was",
    "There is no parked key 8",
  ),
  createdAt: about(when, "When it was begun"),
  changedAt: about(when, "When it went on, the last time"),
});

/** What was begun, and where it can be followed. */
export const startBulk = async (
  c: Context<OperationsEnv>,
  { sql, wake }: OperationsDeps,
  bulk: Omit<NewBulk, "by">,
): Promise<{ id: number; url: string }> => {
  const by = c.get("caller").name;
  const details = { ...bulk.details, action: bulk.action, filter: bulk.filter };
  const target = (number: number) => `operations/${number}`;
  const what = { sql, target, details: { ...details, reason: bulk.reason } };
  const made = await change(c, what, (tx) => createBulk(tx, { ...bulk, by }));
  wake();
  return { id: made, url: `/v1/operations/${made}` };
};

export const bulkRoutes = ({ sql }: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listOperations",
        scope: "events:read",
        answer: [200, "A page of operations", pageOf(bulkOperation)],
        problems: pageProblems,
      }),
      listQuery({ state: v.optional(stateFilter) }),
      async (c) => {
        const { state, ...asked } = c.req.valid("query");
        const page = await idPage(asked, ({ limit, last }) =>
          listBulk(sql, { limit, before: last, state }),
        );
        return c.json(page);
      },
    )
    .get(
      "/:id",
      look({
        id: "getOperation",
        scope: "events:read",
        answer: [200, "The operation", bulkOperation],
        problems: { 404: "There is no such operation" },
      }),
      idParam("operation"),
      async (c) => c.json(await readBulk(sql, Number(c.req.valid("param").id))),
    )
    .post(
      "/:id/cancel",
      operation({
        id: "cancelOperation",
        scope: ["parked:write", "dead-letters:redrive"],
        answer: [200, "It is cancelled", doneForm],
        problems: { 404: "There is no such operation", 409: "It is over" },
      }),
      idParam("operation"),
      async (c) => {
        const number = Number(c.req.valid("param").id);
        const { action } = await readBulk(sql, number);
        assertScope(c.get("caller"), [bulkActions[action].scope]);
        const target = `operations/${number}`;
        await change(c, { sql, target }, (tx) => cancelBulk(tx, number));
        return c.json({ id: number });
      },
    );
