/** `/v1/handlers` and `/v1/workers`: what runs for events, how it does, and who runs it. */

import { fault } from "@outrider/event";
import { readWorkers } from "@outrider/inbox";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, uuidForm, when } from "./forms.ts";
import { nameParam } from "./inputs.ts";
import { readHandlerLags } from "./lag.ts";
import { look } from "./operation.ts";
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

export const handlerRoutes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/handlers",
      look({
        id: "listHandlers",
        scope: "events:read",
        summary: "Handlers: lag, rate, breaker, what is parked and what was given up",
        answer: [200, "The handlers", v.strictObject({ items: v.array(handler) })],
      }),
      async (c) => c.json({ items: await readHandlerLags(deps) }),
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
        const found = (await readHandlerLags(deps)).find((one) => one.name === name);
        if (!found) throw fault("not_found", `Nobody knows a handler ${name}`);
        return c.json(found);
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
      async (c) => c.json({ items: await readWorkers(deps.sql) }),
    );
