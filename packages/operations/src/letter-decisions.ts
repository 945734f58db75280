/** What becomes of dead letters: redriven, discarded, restored, noted. */

import { fields, jsonBody } from "@outrider/http";
import type { TransactionSql } from "@outrider/postgres";
import { discardLetter, noteLetter, redriveLetter, restoreLetter } from "@outrider/redrive";
import type { Decision } from "@outrider/redrive";
import { Hono } from "hono";
import type { Context } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { startBulk } from "./bulk-routes.ts";
import { acceptedForm, doneForm, id, uuidForm } from "./forms.ts";
import { idParam, reason, uuid } from "./inputs.ts";
import { selection, selectionOf } from "./letter-filter.ts";
import { change, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";

const gone = { 404: "There is no such letter" };
const decided = { ...gone, 409: "Somebody has decided already" };

/** As it is, or with another payload: any JSON, or bytes in base64. */
const redriving = v.pipe(
  fields({
    reason,
    payload: v.optional(v.unknown()),
    payloadBase64: v.optional(
      v.pipe(v.string("must be base64"), v.base64("must be base64"), v.maxLength(8_000_000)),
    ),
    /** Of the event that takes its place; a new one by default. */
    eventId: v.optional(uuid),
  }),
  v.check(
    (body) => body.payload === undefined || body.payloadBase64 === undefined,
    "payload and payloadBase64 exclude each other",
  ),
);

export const letterDecisions = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>().route("/", redriveRoute(deps)).route("/", decisions(deps));

const redriveRoute = ({ sql, newId }: OperationsDeps) =>
  new Hono<OperationsEnv>().post(
    "/:id/redrive",
    operation({
      id: "redriveLetter",
      scope: "dead-letters:redrive",
      summary: "Publish or run the event after all, as it is or edited, then what waits behind it",
      answer: [200, "It is redriven", v.strictObject({ id, replacedBy: v.nullable(uuidForm) })],
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
        summary: "Leave all events that match out for good; redriving them is `/v1/redrives`",
        answer: [202, "An operation is at it", acceptedForm],
        body: true,
        problems: { 404: "Nothing matches" },
      }),
      jsonBody(
        fields({
          action: v.picklist(["discard-letters"], "must be discard-letters"),
          filter: selection,
          all: v.optional(v.boolean()),
          reason,
        }),
      ),
      async (c) => {
        const { action, reason: why, ...chosen } = c.req.valid("json");
        const filter = selectionOf(chosen);
        const begun = await startBulk(c, deps, { action, filter, details: {}, reason: why });
        return c.json(begun, 202, { location: begun.url });
      },
    )
    .post(
      "/:id/discard",
      describeDecision("discardLetter", "Leave the event out for good and go on behind it"),
      idParam("dead letter"),
      jsonBody(because),
      (c) => decide(c, { deps, ...c.req.valid("param"), ...c.req.valid("json") }, discardLetter),
    )
    .post(
      "/:id/restore",
      describeDecision("restoreLetter", "Open a discarded letter; its key has gone on without it"),
      idParam("dead letter"),
      jsonBody(because),
      (c) => decide(c, { deps, ...c.req.valid("param"), ...c.req.valid("json") }, restoreLetter),
    )
    .post(
      "/:id/note",
      describeDecision("noteLetter", "Keep a note with the letter"),
      idParam("dead letter"),
      jsonBody(because),
      (c) => decide(c, { deps, ...c.req.valid("param"), ...c.req.valid("json") }, noteLetter),
    );

const because = fields({ reason });

const describeDecision = (operationId: string, summaryText: string) =>
  operation({
    id: operationId,
    scope: "dead-letters:redrive",
    summary: summaryText,
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
