/** `/v1/redrives`: operations that redrive many dead letters. This process drives them. */

import { about, fields, jsonBody, named, query } from "@outrider/http";
import { cancelRedrive, createRedrive, listRedrives, pauseRedrive } from "@outrider/redrive";
import { previewRedrive, readRedrive, redriveDefaults } from "@outrider/redrive";
import { redriveRate, resumeRedrive } from "@outrider/redrive";
import type { Change as RedriveChange } from "@outrider/redrive";
import type { TransactionSql } from "@outrider/postgres";
import { Hono } from "hono";
import type { Context } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { acceptedForm, count, doneForm, form, id, when } from "./forms.ts";
import { idParam, listQuery, reason } from "./inputs.ts";
import { all, letterFilter, letterFilterOf, selection, selectionOf } from "./letter-filter.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { idPage, pageOf, pageProblems } from "./page.ts";

const states = ["running", "paused", "done", "cancelled"] as const;
const stateFilter = about(
  v.picklist(states, `must be one of ${states.join(", ")}`),
  "Only those in this state",
);

const summary = {
  id: about(id, "Its number", 7),
  state: about(v.picklist(states), "Whether it goes on; done: all its letters are decided"),
  filter: about(v.record(v.string(), v.unknown()), "Which letters were meant", {
    handler: "shop.receipt",
  }),
  by: about(v.string(), "Who has begun it: the name of a key", "ann"),
  reason: about(v.string(), "Why", "the receipts service is back"),
  ratePerS: about(v.number(), "Most letters a second", 50),
  canary: about(count, "So many go first, and the others when these are handled", 1),
  failuresMax: about(count, "It pauses when so many are given up again", 5),
  total: about(count, "Its letters", 120),
  message: about(
    v.nullable(v.string()),
    "Why it is in its state; null: nothing is to be said",
    "5 events were given up again",
  ),
  changedBy: about(v.nullable(v.string()), "Who has changed its state; null: itself", "ann"),
  createdAt: about(when, "When it was begun"),
  changedAt: about(when, "When it was changed, the last time"),
};

const redriveSummary = form("RedriveSummary", "A redrive of many letters.", summary);

const redrive = form("Redrive", "A redrive, and what has become of its letters.", {
  ...summary,
  waiting: about(count, "Letters that are not decided yet", 69),
  refused: about(count, "Letters that somebody else had decided before", 1),
  redriven: about(count, "Letters that are redriven", 50),
  handled: about(count, "Events of these that are handled or published by now", 48),
  pending: about(count, "Events of these that are under way", 2),
  failed: about(count, "Events of these that were given up again", 0),
});

const previewGroup = form("PreviewGroup", "Letters that would be redriven.", {
  handler: about(v.nullable(v.string()), "Who gave up; null: the relay", "shop.receipt"),
  topic: about(v.string(), "The topic of the events", "order-events"),
  code: about(v.string(), "The code of the failure", "internal"),
  letters: about(count, "How many", 12),
});

const undecodable = form("Undecodable", "A letter whose event cannot be read today.", {
  id: about(id, "The letter", 7),
  why: about(v.string(), "Why not", "No schema of order.order.created has version 9"),
});

const previewForm = form("RedrivePreview", "What a redrive would do.", {
  letters: about(count, "Open letters that match", 12),
  keys: about(count, "Keys that they are of", 10),
  groups: about(v.array(previewGroup), "The letters by what they died of, at most 50 groups"),
  outOfOrder: form("OutOfOrder", "Letters whose keys have gone on without them.", {
    letters: about(count, "Events that would come after later ones of their keys", 0),
    keys: about(count, "Keys that they are of", 0),
  }),
  handled: about(count, "Events that have been handled by now: redriving changes nothing", 0),
  waiting: about(count, "Events behind them that go on, too", 3),
  undecodable: form("UndecodableLetters", "Letters that would fail again.", {
    letters: about(count, "How many", 0),
    examples: about(v.array(undecodable), "The first of them"),
  }),
});

const idTexts = v.pipe(
  v.string(),
  v.maxLength(100_000),
  v.regex(/^[1-9]\d{0,14}(,[1-9]\d{0,14})*$/, "must be ids with commas between them"),
);

const previewFilter = {
  ...letterFilter,
  ids: v.optional(about(idTexts, "The numbers of the letters, with commas", "7,8")),
};

export const redriveRoutes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listRedrives",
        scope: "events:read",
        answer: [200, "A page of redrives", pageOf(redriveSummary)],
        problems: pageProblems,
      }),
      listQuery({ state: v.optional(stateFilter) }),
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
        answer: [200, "Nothing is changed", previewForm],
        problems: { 422: "A filter is invalid" },
      }),
      query(fields(previewFilter)),
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
        answer: [200, "The redrive", redrive],
        problems: { 404: "There is no such redrive" },
      }),
      idParam("redrive"),
      async (c) => c.json(await readRedrive(deps.sql, Number(c.req.valid("param").id))),
    )
    .route("/", changes(deps));

const wish = named(
  fields({
    filter: selection,
    all,
    reason,
    ratePerS: v.optional(
      about(
        v.pipe(
          v.number("must be a number"),
          v.minValue(redriveRate.minPerS),
          v.maxValue(redriveRate.maxPerS),
        ),
        `Most letters a second; else ${redriveDefaults.ratePerS}`,
        50,
      ),
    ),
    canary: v.optional(
      about(
        v.pipe(v.number("must be a number"), v.integer(), v.minValue(0), v.maxValue(1_000_000)),
        `So many go first, and the others when these are handled; else ${redriveDefaults.canary}`,
        1,
      ),
    ),
    failuresMax: v.optional(
      about(
        v.pipe(v.number("must be a number"), v.integer(), v.minValue(1), v.maxValue(1_000_000)),
        `It pauses when so many are given up again; else ${redriveDefaults.failuresMax}`,
        5,
      ),
    ),
  }),
  {
    name: "NewRedrive",
    description: "Which letters are redriven, how carefully, and why.",
    examples: [
      {
        filter: { handler: "shop.receipt", code: "internal" },
        reason: "the receipts service is back",
        ratePerS: 50,
        canary: 1,
      },
    ],
  },
);

const changes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .post(
      "/",
      operation({
        id: "createRedrive",
        scope: "dead-letters:redrive",
        answer: [202, "It runs", acceptedForm],
        location: "/v1/redrives/7",
        body: true,
        problems: { 404: "No open letter matches" },
      }),
      jsonBody(wish),
      async (c) => {
        const { filter: wanted, all: isAll, ...options } = c.req.valid("json");
        const filter = selectionOf({ filter: wanted, all: isAll });
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
    .post("/:id/pause", describeChange("pauseRedrive"), idParam("redrive"), (c) =>
      carryOut(c, { deps, ...c.req.valid("param") }, pauseRedrive),
    )
    .post("/:id/resume", describeChange("resumeRedrive"), idParam("redrive"), (c) =>
      carryOut(c, { deps, ...c.req.valid("param") }, resumeRedrive),
    )
    .post("/:id/cancel", describeChange("cancelRedrive"), idParam("redrive"), (c) =>
      carryOut(c, { deps, ...c.req.valid("param") }, cancelRedrive),
    );

const describeChange = (changeId: "pauseRedrive" | "resumeRedrive" | "cancelRedrive") =>
  operation({
    id: changeId,
    scope: "dead-letters:redrive",
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
