/** What an operator does about parked keys: run, postpone or bury their first events. */

import { fields, jsonBody } from "@outrider/http";
import { postponeHead, runNow } from "@outrider/inbox";
import type { TransactionSql } from "@outrider/postgres";
import { Hono } from "hono";
import type { Context } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { startBulk } from "./bulk-routes.ts";
import { buryFor } from "./bury.ts";
import { acceptedForm, doneForm } from "./forms.ts";
import { idList, idParam, moment, name, reason, text, uuid } from "./inputs.ts";
import { change, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { lockFirst, parkedStates } from "./parked.ts";
import type { FirstEvent } from "./parked.ts";

/** Which keys are meant: the same words in queries and bodies. */
export const parkedFilter = {
  handler: v.optional(name),
  topic: v.optional(name),
  key: v.optional(text(10_000)),
  code: v.optional(name),
  state: v.optional(v.picklist(parkedStates, `must be one of ${parkedStates.join(", ")}`)),
};

const behind = v.optional(v.picklist(["hold", "skip"], "must be hold or skip"), "hold");

const gone = { 404: "There is no such key: it may have gone on" };
const taken = {
  ...gone,
  409: "A worker runs it right now, or a dead letter holds it",
};

export const parkedDecisions = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>().route("/", bulkRoute(deps)).route("/", decisions(deps));

const decisions = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .post(
      "/:id/run-now",
      operation({
        id: "runParked",
        scope: "parked:write",
        summary: "Run the first event of a key at once",
        answer: [200, "It is due", doneForm],
        problems: taken,
      }),
      idParam("parked key"),
      async (c) => {
        const head = Number(c.req.valid("param").id);
        await decide(c, { deps, head }, (tx) => runNow(tx, head));
        return c.json({ id: head });
      },
    )
    .post(
      "/:id/postpone",
      operation({
        id: "postponeParked",
        scope: "parked:write",
        summary: "Run the first event of a key later",
        answer: [200, "It is due then", doneForm],
        body: true,
        problems: taken,
      }),
      idParam("parked key"),
      jsonBody(fields({ until: moment, reason: v.optional(reason) })),
      async (c) => {
        const head = Number(c.req.valid("param").id);
        const details = c.req.valid("json");
        await decide(c, { deps, head, details }, (tx) =>
          postponeHead(tx, head, new Date(details.until)),
        );
        return c.json({ id: head });
      },
    )
    .post(
      "/:id/bury",
      operation({
        id: "buryParked",
        scope: "parked:write",
        summary: "Give the first event of a key up: it becomes a dead letter",
        answer: [200, "It is a dead letter", doneForm],
        body: true,
        problems: taken,
      }),
      idParam("parked key"),
      jsonBody(fields({ reason, behind, eventId: v.optional(uuid) })),
      async (c) => {
        const head = Number(c.req.valid("param").id);
        const details = c.req.valid("json");
        const { writeRecord } = deps;
        const burial = { id: head, by: c.get("caller").name, writeRecord, ...details };
        await decide(c, { deps, head, details }, (tx) => buryFor(tx, burial));
        return c.json({ id: head });
      },
    );

type Deciding = Readonly<{ deps: OperationsDeps; head: number; details?: object }>;

/** What is decided about a parked key is decided about its first event, and is part of its life. */
const decide = (
  c: Context<OperationsEnv>,
  { deps, head, details }: Deciding,
  act: (tx: TransactionSql) => Promise<void>,
): Promise<unknown> => {
  const what = {
    sql: deps.sql,
    target: ({ eventId }: FirstEvent) => `events/${eventId}`,
    details: ({ handler }: FirstEvent) => ({ parked: head, handler, ...details }),
  };
  return change(c, what, async (tx) => {
    const first = await lockFirst(tx, head);
    await act(tx);
    return first;
  });
};

const bulkBody = v.pipe(
  fields({
    action: v.picklist(
      ["run-parked", "postpone-parked", "bury-parked"],
      "must be run-parked, postpone-parked or bury-parked",
    ),
    filter: fields({ ...parkedFilter, ids: v.optional(idList) }),
    /** Nobody means all of them by mistake. */
    all: v.optional(v.boolean("must be true or false")),
    reason,
    until: v.optional(moment),
    behind: v.optional(v.picklist(["hold", "skip"], "must be hold or skip")),
  }),
  v.check(
    ({ action, until }) => (action === "postpone-parked") === (until !== undefined),
    "until belongs to postpone-parked, which needs it",
  ),
  v.check(
    ({ filter: wanted, all }) => all || Object.values(wanted).some((one) => one !== undefined),
    "say which keys are meant, or that all of them are",
  ),
);

const bulkRoute = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>().post(
    "/bulk",
    operation({
      id: "changeParked",
      scope: "parked:write",
      summary: "Run, postpone or bury the first events of all keys that match",
      answer: [202, "An operation is at it", acceptedForm],
      body: true,
      problems: { 404: "Nothing matches" },
    }),
    jsonBody(bulkBody),
    async (c) => {
      const { action, filter: wanted, reason: why, until, behind: then } = c.req.valid("json");
      const details = { ...(until && { until }), ...(then && { behind: then }) };
      const made = { action, filter: wanted, details, reason: why };
      const begun = await startBulk(c, deps, made);
      return c.json(begun, 202, { location: begun.url });
    },
  );
