/** What an operator does about parked keys: run, postpone or bury their first events. */

import { about, fields, jsonBody, named } from "@outrider/http";
import { postponeHead, runNow } from "@outrider/inbox";
import type { TransactionSql } from "@outrider/postgres";
import { Hono } from "hono";
import type { Context } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { startBulk } from "./bulk-routes.ts";
import { buryFor } from "./bury.ts";
import { acceptedForm, doneForm, exampleEvent, exampleTime } from "./forms.ts";
import { idList, idParam, moment, name, reason, text, uuid } from "./inputs.ts";
import { all } from "./letter-filter.ts";
import { change, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { lockFirst, parkedStates } from "./parked.ts";
import type { FirstEvent } from "./parked.ts";

/** Which keys are meant: the same words in queries and bodies. */
export const parkedFilter = {
  handler: v.optional(about(name, "The handler whose event failed", "shop.receipt")),
  topic: v.optional(about(name, "The topic of the events", "order-events")),
  key: v.optional(about(text(10_000), "The key, whole", exampleEvent)),
  code: v.optional(about(name, "The code with which an event of the key failed last", "internal")),
  state: v.optional(
    about(
      v.picklist(parkedStates, `must be one of ${parkedStates.join(", ")}`),
      "What its first event is: a worker runs it, it is due, it waits, or a dead letter holds it",
    ),
  ),
};

const behindForm = about(
  v.picklist(["hold", "skip"], "must be hold or skip"),
  "What becomes of the events behind it: they are held, or go on without it",
);

const postponement = named(
  fields({
    until: about(moment, "When it is due"),
    reason: v.optional(reason),
  }),
  {
    name: "Postponement",
    description: "Until when, and why.",
    examples: [{ until: exampleTime, reason: "their team is at it" }],
  },
);

const burial = named(
  fields({
    reason,
    behind: v.optional(behindForm, "hold"),
    eventId: v.optional(
      about(uuid, "The event that is meant: 409 where another one is the first by now"),
    ),
  }),
  {
    name: "Burial",
    description: "Why it is given up, and what becomes of the events behind it.",
    examples: [{ reason: "the order was a test", behind: "skip" }],
  },
);

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
        answer: [200, "It is due then", doneForm],
        body: true,
        problems: taken,
      }),
      idParam("parked key"),
      jsonBody(postponement),
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
        answer: [200, "It is a dead letter", doneForm],
        body: true,
        problems: taken,
      }),
      idParam("parked key"),
      jsonBody(burial),
      async (c) => {
        const head = Number(c.req.valid("param").id);
        const details = c.req.valid("json");
        const { writeRecord } = deps;
        const asked = { id: head, by: c.get("caller").name, writeRecord, ...details };
        await decide(c, { deps, head, details }, (tx) => buryFor(tx, asked));
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

const parkedSelection = named(
  fields({ ...parkedFilter, ids: v.optional(about(idList, "The numbers of the keys", [7, 8])) }),
  {
    name: "ParkedSelection",
    description: "Which parked keys are meant. Everything that is said has to hold.",
    examples: [{ handler: "shop.receipt", code: "unavailable" }],
  },
);

const bulkBody = named(
  v.pipe(
    fields({
      action: about(
        v.picklist(
          ["run-parked", "postpone-parked", "bury-parked"],
          "must be run-parked, postpone-parked or bury-parked",
        ),
        "What is done with the first event of each key",
      ),
      filter: parkedSelection,
      // Nobody means all of them by mistake.
      all,
      reason,
      until: v.optional(about(moment, "When they are due: of postpone-parked, which needs it")),
      behind: v.optional(behindForm),
    }),
    v.check(
      ({ action, until }) => (action === "postpone-parked") === (until !== undefined),
      "until belongs to postpone-parked, which needs it",
    ),
    v.check(
      ({ filter: wanted, all: isAll }) =>
        isAll || Object.values(wanted).some((one) => one !== undefined),
      "say which keys are meant, or that all of them are",
    ),
  ),
  {
    name: "ParkedChange",
    description: "What is done with which parked keys, and why.",
    examples: [
      {
        action: "run-parked",
        filter: { handler: "shop.receipt", code: "unavailable" },
        reason: "the receipts service is back",
      },
    ],
  },
);

const bulkRoute = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>().post(
    "/bulk",
    operation({
      id: "changeParked",
      scope: "parked:write",
      answer: [202, "An operation does it", acceptedForm],
      location: "/v1/operations/7",
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
