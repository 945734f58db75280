/** `/v1/parked`: keys with an event that failed. */

import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, id, uuidForm, when } from "./forms.ts";
import { idParam, limitOf, listQuery, offsetNumber, partitionNumber } from "./inputs.ts";
import { look, only } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { decode, idPage, pageOf, pageProblems, toPage } from "./page.ts";
import { parkedDecisions, parkedFilter } from "./parked-decisions.ts";
import { listParked, listQueue, parkedStates, readParkedKey } from "./parked.ts";

const parkedEvent = v.strictObject({
  eventId: uuidForm,
  partition: count,
  offset: count,
  state: v.picklist(["due", "dead"]),
  runs: count,
  attempts: count,
  lost: count,
  killed: count,
  code: v.nullable(v.string()),
  message: v.nullable(v.string()),
  parkedAt: when,
});

const parkedKey = v.strictObject({
  id,
  handler: v.string(),
  topic: v.string(),
  key: v.string(),
  state: v.picklist(parkedStates),
  dueAt: v.nullable(when),
  parkedAt: when,
  events: count,
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
        summary: "Parked keys, those that have been parked the longest first",
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
        summary: "A parked key",
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
        summary: "What waits in a parked key, in the order in which it will run",
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
