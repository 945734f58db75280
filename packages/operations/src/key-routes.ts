/** `/v1/keys` and `/v1/audit`: who may use this API, and who has done what. */

import { about, fields, jsonBody, named } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { listAudit } from "./audit.ts";
import { scopes } from "./caller.ts";
import { doneForm, form, id, when } from "./forms.ts";
import { dateOf, idParam, listQuery, moment, name } from "./inputs.ts";
import { createKey, listKeys, revokeKey } from "./keys.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { idPage, pageOf, pageProblems } from "./page.ts";

const scope = v.picklist(scopes, `must be one of ${scopes.join(", ")}`);

const scopeList = v.pipe(
  v.array(scope, "must be a list"),
  v.minLength(1, "must name one at least"),
);

const apiKey = form("Key", "A key of this API, without what makes it one.", {
  id: about(id, "Its number", 7),
  name: about(v.string(), "Who it is, as the audit has it", "ann"),
  scopes: about(v.array(scope), "What it lets somebody do", ["events:read"]),
  createdAt: about(when, "When it was made"),
  createdBy: about(v.string(), "Who made it", "root"),
  expiresAt: about(v.nullable(when), "When it ends; null: it does not by itself"),
  usedAt: about(v.nullable(when), "When it was used last, to the minute; null: not yet"),
  revokedAt: about(v.nullable(when), "When it was revoked; null: it was not"),
  revokedBy: about(v.nullable(v.string()), "Who revoked it; null: nobody", "root"),
});

const wish = named(
  fields({
    name: about(name, "Who it is for: the audit has it, and no other key in use", "ann"),
    scopes: about(scopeList, "What it lets somebody do", ["events:read", "parked:write"]),
    expiresAt: v.optional(about(moment, "When it ends; it does not by itself where none is said")),
  }),
  {
    name: "NewKey",
    description: "A key to be made.",
    examples: [{ name: "ann", scopes: ["events:read", "parked:write"] }],
  },
);

const madeKey = form("MadeKey", "A new key. It is shown here and never again.", {
  id: about(id, "Its number", 7),
  key: about(
    v.pipe(v.string(), v.regex(/^ork_[1-9]\d{0,14}_[\w-]{43}$/)),
    "What goes into the header: `Authorization: Bearer <key>`",
    `ork_7_${"x".repeat(43)}`,
  ),
});

export const keyRoutes = ({ sql }: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listKeys",
        scope: "admin",
        answer: [200, "A page of keys", pageOf(apiKey)],
        problems: pageProblems,
      }),
      listQuery({}),
      async (c) => {
        const page = await idPage(c.req.valid("query"), ({ limit, last }) =>
          listKeys(sql, { limit, before: last }),
        );
        return c.json(page);
      },
    )
    .post(
      "/",
      operation({
        id: "createKey",
        scope: "admin",
        answer: [201, "The key", madeKey],
        body: true,
        problems: { 409: "A key has that name" },
      }),
      jsonBody(wish),
      async (c) => {
        const { expiresAt, ...asked } = c.req.valid("json");
        const details = { ...asked, ...(expiresAt && { expiresAt }) };
        const newKey = { ...asked, by: c.get("caller").name, expiresAt: dateOf(expiresAt) };
        const target = (made: Readonly<{ id: number }>) => `keys/${made.id}`;
        const created = await change(c, { sql, target, details }, (tx) => createKey(tx, newKey));
        return c.json(created, 201);
      },
    )
    .post(
      "/:id/revoke",
      operation({
        id: "revokeKey",
        scope: "admin",
        answer: [200, "It is revoked", doneForm],
        problems: { 404: "There is no such key", 409: "It is revoked already" },
      }),
      idParam("key"),
      async (c) => {
        const number = Number(c.req.valid("param").id);
        await change(c, { sql, target: `keys/${number}` }, (tx) =>
          revokeKey(tx, number, c.get("caller").name),
        );
        return c.json({ id: number });
      },
    );

const auditEntry = form("AuditEntry", "Something that was changed.", {
  id: about(id, "Its number", 41),
  at: about(when, "When"),
  actor: about(v.string(), "Who: the name of a key, or of a user of the machine", "ann"),
  key: about(v.nullable(id), "The key's number; null: a command on the machine itself", 7),
  action: about(v.string(), "The operation of this API", "redriveLetter"),
  target: about(v.string(), "What it was done to", "dead-letters/7"),
  details: about(
    v.record(v.string(), v.unknown()),
    "What was asked for; never a payload or a key",
    { reason: "the receipts service is back" },
  ),
  requestId: about(v.string(), "The request in the log", "01890a5d-ac96-774b-bcce-b302099a8057"),
});

const auditFilter = {
  actor: v.optional(about(name, "Who", "ann")),
  action: v.optional(about(name, "The operation of this API", "redriveLetter")),
  target: v.optional(about(name, "What it was done to", "dead-letters/7")),
};

export const auditRoutes = ({ sql }: OperationsDeps) =>
  new Hono<OperationsEnv>().get(
    "/",
    look({
      id: "listAudit",
      scope: "admin",
      answer: [200, "A page of the audit", pageOf(auditEntry)],
      problems: pageProblems,
    }),
    listQuery(auditFilter),
    async (c) => {
      const { limit: size, cursor, ...wanted } = c.req.valid("query");
      const page = await idPage({ limit: size, cursor }, ({ limit, last }) =>
        listAudit(sql, { ...wanted, before: last }, limit),
      );
      return c.json(page);
    },
  );
