/** `/v1/redrives`: operations that redrive many dead letters. This process drives them. */

import { fields, jsonBody, query } from "@outrider/http";
import { cancelRedrive, createRedrive, listRedrives, pauseRedrive } from "@outrider/redrive";
import { previewRedrive, readRedrive, redriveRate, resumeRedrive } from "@outrider/redrive";
import type { Change as RedriveChange } from "@outrider/redrive";
import type { TransactionSql } from "@outrider/postgres";
import { Hono } from "hono";
import type { Context } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { acceptedForm, count, doneForm, id, when } from "./forms.ts";
import { idParam, listQuery, reason } from "./inputs.ts";
import { letterFilter, letterFilterOf, selection, selectionOf } from "./letter-filter.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { idPage, pageOf, pageProblems } from "./page.ts";

const states = ["running", "paused", "done", "cancelled"] as const;

const summary = {
  id,
  state: v.picklist(states),
  filter: v.record(v.string(), v.unknown()),
  by: v.string(),
  reason: v.string(),
  ratePerS: v.number(),
  canary: count,
  failuresMax: count,
  total: count,
  message: v.nullable(v.string()),
  changedBy: v.nullable(v.string()),
  createdAt: when,
  changedAt: when,
};

const redrive = v.strictObject({
  ...summary,
  waiting: count,
  refused: count,
  redriven: count,
  handled: count,
  pending: count,
  failed: count,
});

const previewForm = v.strictObject({
  letters: count,
  keys: count,
  groups: v.array(
    v.strictObject({
      handler: v.nullable(v.string()),
      topic: v.string(),
      code: v.string(),
      letters: count,
    }),
  ),
  outOfOrder: v.strictObject({ letters: count, keys: count }),
  handled: count,
  waiting: count,
  undecodable: v.strictObject({
    letters: count,
    examples: v.array(v.strictObject({ id, why: v.string() })),
  }),
});

export const redriveRoutes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listRedrives",
        scope: "events:read",
        summary: "Redrives, the newest first",
        answer: [200, "A page of redrives", pageOf(v.strictObject(summary))],
        problems: pageProblems,
      }),
      listQuery({ state: v.optional(v.picklist(states, `must be one of ${states.join(", ")}`)) }),
      async (c) => {
        const { state, ...asked } = c.req.valid("query");
        const page = await idPage(asked, ({ limit, last }) =>
          listRedrives(deps.sql, { limit, before: last, state }),
        );
        return c.json(page);
      },
    )
    .get(
      "/preview",
      look({
        id: "previewRedrive",
        scope: "events:read",
        summary: "What a redrive of the open letters that match would do",
        answer: [200, "Nothing is changed", previewForm],
        problems: { 422: "A filter is invalid" },
      }),
      query(fields({ ...letterFilter, ids: v.optional(idTexts) })),
      async (c) => {
        const { ids, ...wanted } = c.req.valid("query");
        const filter = { ...letterFilterOf(wanted), ids: ids?.split(",").map(Number) };
        const [decodes, late] = [await deps.loadDecodes(), c.get("late")];
        const preview = await previewRedrive(deps.sql, filter, (letter) => {
          // All letters are read: not on and on for those who have pressed the key again.
          late.throwIfAborted();
          return decodes(letter);
        });
        return c.json(preview);
      },
    )
    .get(
      "/:id",
      look({
        id: "getRedrive",
        scope: "events:read",
        summary: "How far a redrive is",
        answer: [200, "The redrive", redrive],
        problems: { 404: "There is no such redrive" },
      }),
      idParam("redrive"),
      async (c) => c.json(await readRedrive(deps.sql, Number(c.req.valid("param").id))),
    )
    .route("/", changes(deps));

const idTexts = v.pipe(
  v.string(),
  v.maxLength(100_000),
  v.regex(/^[1-9]\d{0,14}(,[1-9]\d{0,14})*$/, "must be ids with commas between them"),
);

const wish = fields({
  filter: selection,
  all: v.optional(v.boolean("must be true or false")),
  reason,
  ratePerS: v.optional(
    v.pipe(
      v.number("must be a number"),
      v.minValue(redriveRate.minPerS),
      v.maxValue(redriveRate.maxPerS),
    ),
  ),
  canary: v.optional(
    v.pipe(v.number("must be a number"), v.integer(), v.minValue(0), v.maxValue(1_000_000)),
  ),
  failuresMax: v.optional(
    v.pipe(v.number("must be a number"), v.integer(), v.minValue(1), v.maxValue(1_000_000)),
  ),
});

const changes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .post(
      "/",
      operation({
        id: "createRedrive",
        scope: "dead-letters:redrive",
        summary: "Redrive all open letters that match, as one operation",
        answer: [202, "It runs", acceptedForm],
        body: true,
        problems: { 404: "No open letter matches" },
      }),
      jsonBody(wish),
      async (c) => {
        const { filter: wanted, all, ...options } = c.req.valid("json");
        const filter = selectionOf({ filter: wanted, all });
        const details = { filter, ...options };
        const target = (number: number) => `redrives/${number}`;
        const what = { sql: deps.sql, target, details };
        const made = await change(c, what, (tx) =>
          createRedrive(tx, filter, { ...options, by: c.get("caller").name }),
        );
        deps.wake();
        const url = `/v1/redrives/${made}`;
        return c.json({ id: made, url }, 202, { location: url });
      },
    )
    .post(
      "/:id/pause",
      describeChange("pauseRedrive", "Decide nothing more for now"),
      idParam("redrive"),
      (c) => carryOut(c, { deps, ...c.req.valid("param") }, pauseRedrive),
    )
    .post(
      "/:id/resume",
      describeChange("resumeRedrive", "Go on, whatever has failed so far"),
      idParam("redrive"),
      (c) => carryOut(c, { deps, ...c.req.valid("param") }, resumeRedrive),
    )
    .post(
      "/:id/cancel",
      describeChange("cancelRedrive", "Leave the rest as it is"),
      idParam("redrive"),
      (c) => carryOut(c, { deps, ...c.req.valid("param") }, cancelRedrive),
    );

const describeChange = (operationId: string, text: string) =>
  operation({
    id: operationId,
    scope: "dead-letters:redrive",
    summary: text,
    answer: [200, "It is done", doneForm],
    problems: { 404: "There is no such redrive", 409: "It is in another state" },
  });

const carryOut = async (
  c: Context<OperationsEnv>,
  { deps, id: redriveId }: Readonly<{ deps: OperationsDeps; id: string }>,
  act: (tx: TransactionSql, id: number, change: RedriveChange) => Promise<void>,
) => {
  const number = Number(redriveId);
  await change(c, { sql: deps.sql, target: `redrives/${number}` }, (tx) =>
    act(tx, number, { by: c.get("caller").name }),
  );
  deps.wake();
  return c.json({ id: number });
};
