/** `/v1/keys` and `/v1/audit`: who may use this API, and who has done what. */

import { fields, jsonBody } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { listAudit } from "./audit.ts";
import { scopes } from "./caller.ts";
import { doneForm, id, when } from "./forms.ts";
import { dateOf, idParam, listQuery, moment, name } from "./inputs.ts";
import { createKey, listKeys, revokeKey } from "./keys.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { idPage, pageOf, pageProblems } from "./page.ts";

const scope = v.picklist(scopes, `must be one of ${scopes.join(", ")}`);

const apiKey = v.strictObject({
  id,
  name: v.string(),
  scopes: v.array(scope),
  createdAt: when,
  createdBy: v.string(),
  expiresAt: v.nullable(when),
  usedAt: v.nullable(when),
  revokedAt: v.nullable(when),
  revokedBy: v.nullable(v.string()),
});

const wish = fields({
  name,
  scopes: v.pipe(v.array(scope, "must be a list"), v.minLength(1, "must name one at least")),
  expiresAt: v.optional(moment),
});

export const keyRoutes = ({ sql }: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listKeys",
        scope: "admin",
        summary: "Keys of this API, the newest first; not the keys themselves",
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
        summary: "Make a key; it is shown now and never again",
        answer: [201, "The key", v.strictObject({ id, key: v.string() })],
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
        summary: "Refuse a key from now on",
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

const auditEntry = v.strictObject({
  id,
  at: when,
  actor: v.string(),
  key: v.nullable(id),
  action: v.string(),
  target: v.string(),
  details: v.record(v.string(), v.unknown()),
  requestId: v.string(),
});

export const auditRoutes = ({ sql }: OperationsDeps) =>
  new Hono<OperationsEnv>().get(
    "/",
    look({
      id: "listAudit",
      scope: "admin",
      summary: "What was changed, and by whom, the newest first",
      answer: [200, "A page of the audit", pageOf(auditEntry)],
      problems: pageProblems,
    }),
    listQuery({
      actor: v.optional(name),
      action: v.optional(name),
      target: v.optional(name),
    }),
    async (c) => {
      const { limit: size, cursor, ...wanted } = c.req.valid("query");
      const page = await idPage({ limit: size, cursor }, ({ limit, last }) =>
        listAudit(sql, { ...wanted, before: last }, limit),
      );
      return c.json(page);
    },
  );
