/** `/v1/handlers` and `/v1/workers`: what runs for events, how it does, and who runs it. */

import { fault } from "@outrider/event";
import { about } from "@outrider/http";
import { forgetHandler, readWorkers } from "@outrider/inbox";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, findings, form, listOf, uuidForm, when } from "./forms.ts";
import { nameParam } from "./inputs.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import type { Running } from "./running.ts";

const breaker = form("Breaker", "Why a handler is held back, and until when.", {
  opened: about(count, "Times in a row that it has opened", 2),
  openedAt: about(when, "When it opened, the first time"),
  openUntil: about(when, "When one event is tried again"),
  code: about(v.string(), "The code of the failure that opened it", "unavailable"),
  message: about(v.string(), "The failure", "The receipts service answered 503"),
});

const failing = form("FailingEvents", "Parked events that are tried again, by their failure.", {
  code: about(v.string(), "What they failed with last", "unavailable"),
  events: about(count, "How many, at most 10,000 over all handlers", 12),
  runsMax: about(count, "Runs of the one that has been run most often", 4),
});

const halt = form("Halt", "Partitions that a group does not read until an operator decides.", {
  partitions: about(count, "How many", 1),
  reason: about(v.string(), "Why", "the topic was made anew"),
});

const behind = form("Behind", "Where a group is furthest behind, counted in time.", {
  topic: about(v.string(), "The topic", "order-events"),
  partition: about(count, "The partition", 3),
  records: about(count, "Records of it that are not read", 120),
  ageMs: about(v.number(), "Since the first of them was published", 61_000),
  movedMs: about(v.nullable(v.number()), "Since the group got further; null: never", 60_500),
});

const handler = form("Handler", "A handler, and how it does.", {
  name: about(v.string(), "Its name", "shop.receipt"),
  group: about(v.nullable(v.string()), "Its group; null: no worker has told", "shop-receipts"),
  topics: about(v.array(v.string()), "The topics that it reads", ["order-events"]),
  ordering: about(
    v.nullable(v.picklist(["key", "none"])),
    "What its events keep their order in; null: no worker has told",
    "key",
  ),
  effects: about(
    v.nullable(v.picklist(["transactional", "external"])),
    "Where it has its effects: in its transaction or outside; null: no worker has told",
    "external",
  ),
  onBury: about(
    v.nullable(v.picklist(["hold", "skip"])),
    "What becomes of the events behind one that is given up; null: no worker has told",
    "hold",
  ),
  attemptsMax: about(v.nullable(count), "Attempts of an event; null: no worker has told", 8),
  seenAt: about(v.nullable(when), "When a worker named it last, to the minute; null: none has"),
  workers: about(count, "Workers that run it and are alive", 2),
  ratePerS: about(v.number(), "Events a second that they handle now", 41.5),
  handled: about(count, "Events that they have handled since they started", 120_000),
  failed: about(count, "Runs of theirs that failed since they started", 3),
  breaker: about(v.nullable(breaker), "Why it is held back; null: it is not"),
  parkedKeys: about(count, "Keys that are parked, at most 100,000", 1),
  heldKeys: about(count, "Those of them that a dead letter holds", 0),
  parkedEvents: about(count, "Events in them", 4),
  oldestParkedAgeMs: about(
    v.number(),
    "Since the first key was parked that no letter holds; 0: there is none",
    61_000,
  ),
  failing: about(v.array(failing), "Parked events that are tried again"),
  openLetters: about(count, "Open dead letters, at most 10,000", 0),
  lag: about(v.nullable(count), "Records that its group has not read; null: nobody can say", 12),
  missingTopics: about(v.array(v.string()), "Topics that it reads and Kafka does not have", []),
  halted: about(v.nullable(halt), "What its group does not read; null: it reads all"),
  behind: about(v.nullable(behind), "Where its group is furthest behind; null: it is not far"),
  findings,
});

const handlerList = form("HandlerList", "All handlers, and whether all is well with them.", {
  items: about(v.array(handler), "All handlers"),
  findings,
});

const forgotten = form("ForgottenHandler", "A handler that is listed no longer.", {
  name: about(v.string(), "Its name", "shop.receipt"),
});

const workerCount = form("WorkerCount", "What a worker has counted of a handler.", {
  name: about(v.string(), "The handler", "shop.receipt"),
  handled: about(count, "Events that it has handled", 60_000),
  failed: about(count, "Runs that failed", 2),
  ratePerS: about(v.number(), "Events a second that it handles now", 20.5),
});

const worker = form("Worker", "A process that runs handlers.", {
  instance: about(uuidForm, "A new one with each start"),
  name: about(v.string(), "Its host and process, for people", "host-1 4711"),
  startedAt: about(when, "When it started"),
  isAlive: about(v.boolean(), "False: it has ended without a word, or is cut off"),
  handlers: about(v.array(workerCount), "What it has counted since it started"),
});

export const handlerRoutes = ({ sql }: OperationsDeps, readRunning: () => Promise<Running>) =>
  new Hono<OperationsEnv>()
    .get(
      "/handlers",
      look({
        id: "listHandlers",
        scope: "events:read",
        answer: [200, "The handlers", handlerList],
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
        answer: [200, "The handler", handler],
        problems: { 404: "Nobody knows such a handler" },
      }),
      nameParam("handler", "shop.receipt"),
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
        answer: [200, "It is forgotten", forgotten],
        problems: {
          404: "Nobody knows such a handler",
          409: "A worker runs it, or events of it wait for somebody",
        },
      }),
      nameParam("handler", "shop.receipt"),
      async (c) => {
        const { name } = c.req.valid("param");
        await change(c, { sql, target: `handlers/${name}` }, (tx) => forgetHandler(tx, name));
        return c.json({ name });
      },
    )
    .get(
      "/workers",
      look({
        id: "listWorkers",
        scope: "events:read",
        answer: [200, "The workers", listOf(worker, "All workers")],
      }),
      async (c) => c.json({ items: await readWorkers(sql) }),
    );
