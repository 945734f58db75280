/** `/v1/dead-letters`: events that were given up. */

import { about, fields, query } from "@outrider/http";
import type { Sql } from "@outrider/postgres";
import { exportLetters, groupStretch, readLetter, searchStretch } from "@outrider/redrive";
import type { Letter, LetterFilter } from "@outrider/redrive";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { exportLines } from "./export-lines.ts";
import { count, form, headerPairs, id, uuidForm, when } from "./forms.ts";
import { idParam, limitOf, listQuery, paging } from "./inputs.ts";
import { letterDecisions } from "./letter-decisions.ts";
import { letterFilter, letterFilterOf } from "./letter-filter.ts";
import { linesType, look, only } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { pageOf, pageProblems, stretchPage } from "./page.ts";

const exampleFingerprint = "shop.receipt | internal | The receipts service answered <n>";

const summary = {
  id: about(id, "Its number", 7),
  state: about(v.picklist(["open", "redriven", "discarded"]), "What has become of it"),
  handler: about(v.nullable(v.string()), "Who gave up; null: the relay", "shop.receipt"),
  topic: about(v.string(), "The topic of the event", "order-events"),
  key: about(v.string(), "The key, as text; what is no UTF-8 is replaced", "order-4711"),
  eventId: about(uuidForm, "The id of the event"),
  type: about(v.nullable(v.string()), "Its type, where known", "order.order.created"),
  code: about(v.string(), "The code of the failure", "internal"),
  message: about(v.string(), "The failure", "The receipts service answered 500"),
  attempts: about(count, "How often it was tried", 8),
  skipped: about(v.boolean(), "Later events of its key went on without it"),
  buriedAt: about(when, "When it was given up, the last time"),
};

const letterSummary = form("Letter", "An event that was given up.", summary);

const group = form("LetterGroup", "Letters that died of the same.", {
  fingerprint: about(v.string(), "What they have in common", exampleFingerprint),
  count: about(count, "How many there are", 12),
  newest: letterSummary,
});

const groups = form("LetterGroupList", "What letters died of.", {
  items: about(v.array(group), "The largest group first"),
  isWhole: about(
    v.boolean(),
    "False: with a text only the newest letters were looked through",
    true,
  ),
});

const historyEntry = form("LetterHistoryEntry", "Something that happened to a letter.", {
  at: about(when, "When"),
  action: about(v.picklist(["buried", "redriven", "discarded", "restored", "noted"]), "What"),
  by: about(v.nullable(v.string()), "Who did it; null: the system", "ann"),
  message: about(v.string(), "The failure, or why it was done", "the receipts service is back"),
  replacedBy: about(v.nullable(uuidForm), "The event that took its place; null: none did"),
  diff: about(v.nullable(v.string()), "How an edited payload differs; null: it was not edited"),
  redrive: about(v.nullable(id), "The redrive that it was part of; null: none", 7),
});

const whole = {
  ...summary,
  version: about(v.nullable(v.number()), "The version of its schema, where known", 1),
  sequence: about(v.nullable(v.number()), "Its place among those of its key, where known", 1),
  partition: about(v.nullable(count), "The partition; null: it never got into Kafka", 3),
  offset: about(v.nullable(count), "The offset; null: it never got into Kafka", 1042),
  fingerprint: about(
    v.string(),
    "What letters that died of the same have in common",
    exampleFingerprint,
  ),
  headers: headerPairs,
  payloadBase64: about(v.string(), "Its payload in base64", "eyJvcmRlcklkIjoib3JkZXItNDcxMSJ9"),
  occurredAt: about(when, "When the event occurred"),
  closedAt: about(v.nullable(when), "When it was decided; null: it is open"),
  closedBy: about(v.nullable(v.string()), "Who decided; null: nobody yet", "ann"),
  reason: about(v.nullable(v.string()), "Why; null: nobody has said", "orders of a test"),
  replacedBy: about(v.nullable(uuidForm), "The event that took its place; null: none did"),
};

const exportedLetter = form("ExportedLetter", "A letter with its event.", whole);

const wholeLetter = form("WholeLetter", "A letter with its event and all that happened to it.", {
  ...whole,
  waiting: about(count, "Events of its key that wait behind it, counted up to 100,000", 3),
  history: about(v.array(historyEntry), "What happened to it, the oldest first"),
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
        answer: [200, "The groups", groups],
        problems: { 422: "A filter is invalid" },
      }),
      query(fields({ ...letterFilter, limit: paging.limit })),
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
      answer: [200, "Letters, one a line", exportedLetter],
      isLines: true,
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
      return c.body(lines, 200, { "content-type": linesType });
    },
  );
