/** `/v1/parked`: keys with an event that failed. */

import { about } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, form, id, uuidForm, when } from "./forms.ts";
import { idParam, limitOf, listQuery, offsetNumber, partitionNumber } from "./inputs.ts";
import { look, only } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { decode, idPage, pageOf, pageProblems, toPage } from "./page.ts";
import { parkedDecisions, parkedFilter } from "./parked-decisions.ts";
import { listParked, listQueue, parkedStates, readParkedKey } from "./parked.ts";

const parkedEvent = form("ParkedEvent", "An event of a parked key.", {
  eventId: about(uuidForm, "Its id"),
  partition: about(count, "The partition of its record", 3),
  offset: about(count, "The offset of its record", 1042),
  state: about(v.picklist(["due", "dead"]), "Due: it will be run; dead: a letter holds it"),
  runs: about(count, "Runs of it alone that failed", 4),
  attempts: about(count, "Those of them that count", 3),
  lost: about(count, "Runs whose worker was not heard of again", 0),
  killed: about(count, "Processes that it has ended", 0),
  code: about(
    v.nullable(v.string()),
    "The code of its last failure; null: it waits behind another event",
    "unavailable",
  ),
  message: about(
    v.nullable(v.string()),
    "Its last failure; null: it waits behind another event",
    "The receipts service answered 503",
  ),
  parkedAt: about(when, "When it was parked"),
});

const parkedKey = form("ParkedKey", "A key with an event that failed.", {
  id: about(id, "Its number", 7),
  handler: about(v.string(), "The handler whose event failed", "shop.receipt"),
  topic: about(v.string(), "The topic of the events", "order-events"),
  key: about(v.string(), "The key, as text; what is no UTF-8 is replaced", "order-4711"),
  state: about(
    v.picklist(parkedStates),
    "A worker runs its first event, it is due, it waits, or a dead letter holds it",
    "waiting",
  ),
  dueAt: about(v.nullable(when), "When its first event is run; null: a dead letter holds it"),
  parkedAt: about(when, "When it was parked"),
  events: about(count, "Its first event and what waits behind it, counted up to 100,000", 4),
  first: parkedEvent,
});

const gone = { 404: "There is no such key: it may have gone on" };

export const parkedRoutes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .use("/bulk", only("POST"))
    .get(
      "/",
      look({
        id: "listParked",
        scope: "events:read",
        answer: [200, "A page of keys", pageOf(parkedKey)],
        problems: pageProblems,
      }),
      listQuery(parkedFilter),
      async (c) => {
        const { limit, cursor, ...wanted } = c.req.valid("query");
        const page = await idPage({ limit, cursor }, ({ last, ...size }) =>
          listParked(deps.sql, wanted, { ...size, after: last }),
        );
        return c.json(page);
      },
    )
    .get(
      "/:id",
      look({
        id: "getParked",
        scope: "events:read",
        answer: [200, "The key", parkedKey],
        problems: gone,
      }),
      idParam("parked key"),
      async (c) => c.json(await readParkedKey(deps.sql, Number(c.req.valid("param").id))),
    )
    .get(
      "/:id/events",
      look({
        id: "listParkedEvents",
        scope: "events:read",
        answer: [200, "A page of events", pageOf(parkedEvent)],
        problems: { ...gone, ...pageProblems },
      }),
      idParam("parked key"),
      listQuery({}),
      async (c) => {
        const { limit: asked, cursor } = c.req.valid("query");
        const limit = limitOf(asked);
        const [partition, offset] = decode(cursor, place) ?? [];
        const after =
          partition === undefined || offset === undefined ? undefined : { partition, offset };
        const page = { limit: limit + 1, after };
        const head = Number(c.req.valid("param").id);
        const found = await listQueue(deps.sql, head, page);
        if (found.length === 0) await readParkedKey(deps.sql, head);
        return c.json(toPage(found, limit, (one) => [one.partition, one.offset]));
      },
    )
    .route("/", parkedDecisions(deps));

const place = v.strictTuple([partitionNumber, offsetNumber]);
