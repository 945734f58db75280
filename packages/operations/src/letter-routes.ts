/** `/v1/dead-letters`: events that were given up. */

import { fields, query } from "@outrider/http";
import type { Sql } from "@outrider/postgres";
import { exportLetters, groupStretch, readLetter, searchStretch } from "@outrider/redrive";
import type { Letter, LetterFilter } from "@outrider/redrive";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { exportLines } from "./export-lines.ts";
import { count, headerPairs, id, uuidForm, when } from "./forms.ts";
import { idParam, limitOf, listQuery } from "./inputs.ts";
import { letterDecisions } from "./letter-decisions.ts";
import { letterFilter, letterFilterOf } from "./letter-filter.ts";
import { look, only } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { pageOf, pageProblems, stretchPage } from "./page.ts";

const summary = {
  id,
  state: v.picklist(["open", "redriven", "discarded"]),
  handler: v.nullable(v.string()),
  topic: v.string(),
  key: v.string(),
  eventId: uuidForm,
  type: v.nullable(v.string()),
  code: v.string(),
  message: v.string(),
  attempts: count,
  skipped: v.boolean(),
  buriedAt: when,
};

const letterSummary = v.strictObject(summary);

const group = v.strictObject({ fingerprint: v.string(), count, newest: letterSummary });

const groups = v.strictObject({
  items: v.array(group),
  isWhole: v.pipe(v.boolean(), v.description("With a text only the newest are looked through")),
});

const historyEntry = v.strictObject({
  at: when,
  action: v.picklist(["buried", "redriven", "discarded", "restored", "noted"]),
  by: v.nullable(v.string()),
  message: v.string(),
  replacedBy: v.nullable(uuidForm),
  diff: v.nullable(v.string()),
  redrive: v.nullable(id),
});

const exportedLetter = {
  ...summary,
  version: v.nullable(v.number()),
  sequence: v.nullable(v.number()),
  partition: v.nullable(count),
  offset: v.nullable(count),
  fingerprint: v.string(),
  headers: headerPairs,
  payloadBase64: v.string(),
  occurredAt: when,
  closedAt: v.nullable(when),
  closedBy: v.nullable(v.string()),
  reason: v.nullable(v.string()),
  replacedBy: v.nullable(uuidForm),
};

const wholeLetter = v.strictObject({
  ...exportedLetter,
  waiting: count,
  history: v.array(historyEntry),
});

const exported = <L extends Letter>({ payload, ...letter }: L) => ({
  ...letter,
  payloadBase64: Buffer.from(payload).toString("base64"),
});

export const letterRoutes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .use("/bulk", only("POST"))
    .route("/", exportRoute(deps))
    .get(
      "/",
      look({
        id: "listDeadLetters",
        scope: "events:read",
        summary: "Dead letters, the newest first",
        answer: [200, "A page; with a text it may be short before the end", pageOf(letterSummary)],
        problems: pageProblems,
      }),
      listQuery(letterFilter),
      async (c) => {
        const { limit, cursor, ...wanted } = c.req.valid("query");
        const filter = letterFilterOf(wanted);
        const page = await stretchPage({ limit, cursor }, async ({ last, ...size }) => {
          const asked = { ...size, before: last };
          const { letters, rest } = await searchStretch(deps.sql, filter, asked);
          return { found: letters, rest };
        });
        return c.json(page);
      },
    )
    .get(
      "/groups",
      look({
        id: "groupDeadLetters",
        scope: "events:read",
        summary: "What the letters died of, the largest group first",
        answer: [200, "The groups", groups],
        problems: { 422: "A filter is invalid" },
      }),
      query(fields({ ...letterFilter, limit: groupsLimit })),
      async (c) => {
        const { limit, ...wanted } = c.req.valid("query");
        const filter = letterFilterOf(wanted);
        const found = await groupStretch(deps.sql, filter, limitOf(limit));
        return c.json({ items: found.groups, isWhole: found.isWhole });
      },
    )
    .get(
      "/:id",
      look({
        id: "getDeadLetter",
        scope: "events:read",
        summary: "Everything about one letter",
        answer: [200, "The letter", wholeLetter],
        problems: { 404: "There is no such letter" },
      }),
      idParam("dead letter"),
      async (c) => c.json(exported(await readLetter(deps.sql, Number(c.req.valid("param").id)))),
    )
    .route("/", letterDecisions(deps));

async function* wholeLetters(sql: Sql, filter: LetterFilter) {
  for await (const letter of exportLetters(sql, filter)) yield exported(letter);
}

const exportRoute = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>().get(
    "/export",
    look({
      id: "exportDeadLetters",
      scope: "events:read",
      summary: "Whole letters, one a line, the oldest first",
      answer: [200, "Lines of JSON"],
      problems: { 422: "A filter is invalid" },
    }),
    query(fields(letterFilter)),
    async (c) => {
      const letters = wholeLetters(deps.sql, letterFilterOf(c.req.valid("query")));
      const onError = (err: unknown) =>
        deps.log.error({ requestId: c.get("requestId"), err }, "an export ended in the middle");
      // While there is nothing yet, it can still be said what is wrong.
      const first = await letters.next();
      const lines = exportLines(first, letters, onError);
      return c.body(lines, 200, { "content-type": "application/x-ndjson" });
    },
  );

const groupsLimit = v.optional(
  v.pipe(v.string(), v.regex(/^([1-9]\d{0,2}|1000)$/, "must be a whole number from 1 to 1000")),
);
