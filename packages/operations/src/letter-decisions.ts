/** What becomes of dead letters: redriven, discarded, restored, noted. */

import { about, fields, jsonBody, named } from "@outrider/http";
import type { TransactionSql } from "@outrider/postgres";
import { discardLetter, noteLetter, redriveLetter, restoreLetter } from "@outrider/redrive";
import type { Decision } from "@outrider/redrive";
import { Hono } from "hono";
import type { Context } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { startBulk } from "./bulk-routes.ts";
import { acceptedForm, doneForm, form, id, uuidForm } from "./forms.ts";
import { idParam, reason, uuid } from "./inputs.ts";
import { all, selection, selectionOf } from "./letter-filter.ts";
import { change, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";

const gone = { 404: "There is no such letter" };
const decided = { ...gone, 409: "Somebody has decided already" };

const base64Form = v.pipe(
  v.string("must be base64"),
  v.base64("must be base64"),
  v.maxLength(8_000_000),
  v.metadata({ pattern: "^(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?$" }),
);

/** As it is, or with another payload: any JSON, or bytes in base64. */
const redriving = named(
  v.pipe(
    fields({
      reason,
      payload: v.optional(about(v.unknown(), "Another payload: any JSON")),
      payloadBase64: v.optional(about(base64Form, "Another payload: bytes in base64")),
      eventId: v.optional(
        about(uuid, "The id of the event that takes its place; a new one where it is not said"),
      ),
    }),
    v.check(
      (body) => body.payload === undefined || body.payloadBase64 === undefined,
      "payload and payloadBase64 exclude each other",
    ),
  ),
  {
    name: "Redriving",
    description: "Why, and another payload where it is edited: as JSON or as bytes, not as both.",
    examples: [{ reason: "the receipts service is back" }],
  },
);

const redriven = form("Redriven", "It is redriven.", {
  id: about(id, "The number of the letter", 7),
  replacedBy: about(v.nullable(uuidForm), "The event that took its place; null: it is as it was"),
});

const discarding = named(
  fields({
    action: about(v.picklist(["discard-letters"], "must be discard-letters"), "What is done"),
    filter: selection,
    all,
    reason,
  }),
  {
    name: "Discarding",
    description: "Which letters are discarded, and why.",
    examples: [
      {
        action: "discard-letters",
        filter: { handler: "shop.receipt", code: "invalid" },
        reason: "orders of a test",
      },
    ],
  },
);

const because = named(fields({ reason }), {
  name: "Because",
  description: "Why it is done, for the history of the letter.",
  examples: [{ reason: "the receipts service is back" }],
});

export const letterDecisions = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>().route("/", redriveRoute(deps)).route("/", decisions(deps));

const redriveRoute = ({ sql, newId }: OperationsDeps) =>
  new Hono<OperationsEnv>().post(
    "/:id/redrive",
    operation({
      id: "redriveLetter",
      scope: "dead-letters:redrive",
      answer: [200, "It is redriven", redriven],
      body: true,
      problems: decided,
    }),
    idParam("dead letter"),
    jsonBody(redriving),
    async (c) => {
      const letter = Number(c.req.valid("param").id);
      const { reason: why, payload, payloadBase64, eventId = newId() } = c.req.valid("json");
      const bytes = payloadOf(payload, payloadBase64);
      const edit = bytes && { eventId, payload: bytes };
      const replacedBy = edit ? eventId : null;
      const details = { reason: why, replacedBy };
      await change(c, { sql, target: `dead-letters/${letter}`, details }, (tx) =>
        redriveLetter(tx, { id: letter, by: c.get("caller").name, reason: why, edit }),
      );
      return c.json({ id: letter, replacedBy });
    },
  );

const payloadOf = (payload: unknown, base64: string | undefined): Uint8Array | undefined => {
  if (base64 !== undefined) return Buffer.from(base64, "base64");
  return payload === undefined ? undefined : new TextEncoder().encode(JSON.stringify(payload));
};

const decisions = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .post(
      "/bulk",
      operation({
        id: "discardLetters",
        scope: "dead-letters:redrive",
        answer: [202, "An operation does it", acceptedForm],
        location: "/v1/operations/7",
        body: true,
        problems: { 404: "Nothing matches" },
      }),
      jsonBody(discarding),
      async (c) => {
        const { action, reason: why, ...chosen } = c.req.valid("json");
        const filter = selectionOf(chosen);
        const begun = await startBulk(c, deps, { action, filter, details: {}, reason: why });
        return c.json(begun, 202, { location: begun.url });
      },
    )
    .post(
      "/:id/discard",
      describeDecision("discardLetter"),
      idParam("dead letter"),
      jsonBody(because),
      (c) => decide(c, { deps, ...c.req.valid("param"), ...c.req.valid("json") }, discardLetter),
    )
    .post(
      "/:id/restore",
      describeDecision("restoreLetter"),
      idParam("dead letter"),
      jsonBody(because),
      (c) => decide(c, { deps, ...c.req.valid("param"), ...c.req.valid("json") }, restoreLetter),
    )
    .post(
      "/:id/note",
      describeDecision("noteLetter"),
      idParam("dead letter"),
      jsonBody(because),
      (c) => decide(c, { deps, ...c.req.valid("param"), ...c.req.valid("json") }, noteLetter),
    );

const describeDecision = (decisionId: "discardLetter" | "restoreLetter" | "noteLetter") =>
  operation({
    id: decisionId,
    scope: "dead-letters:redrive",
    answer: [200, "It is done", doneForm],
    body: true,
    problems: decided,
  });

type Deciding = Readonly<{ deps: OperationsDeps; id: string; reason: string }>;

const decide = async (
  c: Context<OperationsEnv>,
  { deps, id: letter, reason: why }: Deciding,
  act: (tx: TransactionSql, decision: Decision) => Promise<void>,
) => {
  const decision = { id: Number(letter), by: c.get("caller").name, reason: why };
  const what = { sql: deps.sql, target: `dead-letters/${letter}`, details: { reason: why } };
  await change(c, what, (tx) => act(tx, decision));
  return c.json({ id: decision.id });
};
