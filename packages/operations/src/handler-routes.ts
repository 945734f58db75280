/** `/v1/handlers` and `/v1/workers`: what runs for events, how it does, and who runs it. */

import { fault } from "@outrider/event";
import { forgetHandler, readWorkers } from "@outrider/inbox";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, findings, uuidForm, when } from "./forms.ts";
import { nameParam } from "./inputs.ts";
import type { Running } from "./running.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";

const breaker = v.strictObject({
  opened: count,
  openedAt: when,
  openUntil: when,
  code: v.string(),
  message: v.string(),
});

const handler = v.strictObject({
  name: v.string(),
  group: v.nullable(v.string()),
  topics: v.array(v.string()),
  ordering: v.nullable(v.picklist(["key", "none"])),
  effects: v.nullable(v.picklist(["transactional", "external"])),
  onBury: v.nullable(v.picklist(["hold", "skip"])),
  attemptsMax: v.nullable(count),
  seenAt: v.nullable(when),
  workers: count,
  ratePerS: v.number(),
  handled: count,
  failed: count,
  breaker: v.nullable(breaker),
  parkedKeys: count,
  heldKeys: count,
  parkedEvents: count,
  oldestParkedAgeMs: v.number(),
  failing: v.array(v.strictObject({ code: v.string(), events: count, runsMax: count })),
  openLetters: count,
  lag: v.nullable(count),
  missingTopics: v.array(v.string()),
  halted: v.nullable(v.strictObject({ partitions: count, reason: v.string() })),
  behind: v.nullable(
    v.strictObject({
      topic: v.string(),
      partition: count,
      records: count,
      ageMs: v.number(),
      movedMs: v.nullable(v.number()),
    }),
  ),
  findings,
});

const worker = v.strictObject({
  instance: uuidForm,
  name: v.string(),
  startedAt: when,
  isAlive: v.boolean(),
  handlers: v.array(
    v.strictObject({ name: v.string(), handled: count, failed: count, ratePerS: v.number() }),
  ),
});

export const handlerRoutes = ({ sql }: OperationsDeps, readRunning: () => Promise<Running>) =>
  new Hono<OperationsEnv>()
    .get(
      "/handlers",
      look({
        id: "listHandlers",
        scope: "events:read",
        summary: "Handlers: lag, rate, breaker, what is parked and what was given up",
        answer: [200, "The handlers", v.strictObject({ items: v.array(handler), findings })],
      }),
      async (c) => {
        const { handlers, findings: found } = await readRunning();
        return c.json({ items: handlers, findings: found });
      },
    )
    .get(
      "/handlers/:name",
      look({
        id: "getHandler",
        scope: "events:read",
        summary: "One handler",
        answer: [200, "The handler", handler],
        problems: { 404: "Nobody knows such a handler" },
      }),
      nameParam("handler"),
      async (c) => {
        const { name } = c.req.valid("param");
        const { handlers } = await readRunning();
        const found = handlers.find((one) => one.name === name);
        if (!found) throw fault("not_found", `Nobody knows a handler ${name}`);
        return c.json(found);
      },
    )
    .delete(
      "/handlers/:name",
      operation({
        id: "forgetHandler",
        scope: "admin",
        summary: "Forget a handler that nobody runs any more; what it has handled stays known",
        answer: [204, "It is forgotten"],
        problems: {
          404: "Nobody knows such a handler",
          409: "A worker runs it, or events of it wait for somebody",
        },
      }),
      nameParam("handler"),
      async (c) => {
        const { name } = c.req.valid("param");
        await change(c, { sql, target: `handlers/${name}` }, (tx) => forgetHandler(tx, name));
        return c.body(null, 204);
      },
    )
    .get(
      "/workers",
      look({
        id: "listWorkers",
        scope: "events:read",
        summary: "Processes that run handlers",
        answer: [200, "The workers", v.strictObject({ items: v.array(worker) })],
      }),
      async (c) => c.json({ items: await readWorkers(sql) }),
    );
