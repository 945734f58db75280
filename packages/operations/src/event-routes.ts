/** `/v1/events/{id}`: one event's whole life. */

import { fields, query } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { readLife } from "./event-life.ts";
import { chapterKinds } from "./event-story.ts";
import { count, headerPairs, id, uuidForm, when } from "./forms.ts";
import { name, text, uuidParam } from "./inputs.ts";
import { look } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";

const place = { topic: v.string(), partition: count, offset: count };

const outbox = v.strictObject({
  state: v.picklist(["pending", "held"]),
  shard: v.nullable(count),
  letter: v.nullable(id),
  type: v.nullable(v.string()),
  version: v.nullable(count),
  topic: v.string(),
  key: v.string(),
  createdAt: when,
});

const record = v.strictObject({
  ...place,
  timestamp: when,
  headers: headerPairs,
  payload: v.string(),
  payloadBytes: count,
});

const failedAttempt = v.strictObject({
  handler: v.string(),
  at: when,
  attempt: v.nullable(count),
  kind: v.picklist(["transient", "deployment", "retryable", "fatal", "killed"]),
  code: v.string(),
  message: v.string(),
});

const externalAttempt = v.strictObject({
  handler: v.string(),
  attempt: count,
  startedAt: when,
  endedAt: v.nullable(when),
  outcome: v.nullable(v.string()),
});

const parked = v.strictObject({
  handler: v.string(),
  head: id,
  ...place,
  state: v.picklist(["due", "dead"]),
  runs: count,
  attempts: count,
  dueAt: v.nullable(when),
  isRunning: v.boolean(),
  ahead: count,
  parkedAt: when,
});

const letter = v.strictObject({
  id,
  handler: v.nullable(v.string()),
  state: v.picklist(["open", "redriven", "discarded"]),
  topic: v.string(),
  partition: v.nullable(count),
  offset: v.nullable(count),
  skipped: v.boolean(),
  history: v.array(
    v.strictObject({
      at: when,
      action: v.picklist(["buried", "redriven", "discarded", "restored", "noted"]),
      by: v.nullable(v.string()),
      message: v.string(),
      replacedBy: v.nullable(uuidForm),
      redrive: v.nullable(id),
    }),
  ),
});

const life = v.strictObject({
  id: uuidForm,
  type: v.nullable(v.string()),
  version: v.nullable(count),
  source: v.nullable(v.string()),
  topic: v.nullable(v.string()),
  key: v.nullable(v.string()),
  occurredAt: v.nullable(when),
  replaces: v.nullable(uuidForm),
  outbox: v.nullable(outbox),
  recordState: v.picklist(["found", "removed", "not found", "not published", "away"]),
  record: v.nullable(record),
  expected: v.array(v.strictObject({ handler: v.string(), group: v.string(), behind: count })),
  inbox: v.array(
    v.strictObject({
      handler: v.string(),
      state: v.picklist(["handled", "parked", "dead"]),
      ...place,
      recordedAt: when,
    }),
  ),
  failed: v.array(failedAttempt),
  external: v.array(externalAttempt),
  parked: v.array(parked),
  letters: v.array(letter),
  decisions: v.array(
    v.strictObject({
      at: when,
      by: v.string(),
      action: v.string(),
      details: v.record(v.string(), v.unknown()),
    }),
  ),
  story: v.array(
    v.strictObject({
      at: v.nullable(when),
      what: v.picklist(chapterKinds),
      handler: v.nullable(v.string()),
      text: v.string(),
    }),
  ),
});

export const eventRoutes = ({ sql, kafka }: OperationsDeps) =>
  new Hono<OperationsEnv>().get(
    "/:id",
    look({
      id: "getEvent",
      scope: "events:read",
      summary: "One event's whole life: outbox, Kafka, every handler's attempts, and what became",
      answer: [200, "The life", life],
      problems: { 404: "Nothing that was looked at knows the event", 422: "A hint is invalid" },
    }),
    uuidParam("event"),
    query(fields({ topic: v.optional(name), key: v.optional(text(10_000)) })),
    async (c) => {
      const event = c.req.valid("param").id.toLowerCase();
      const hints = c.req.valid("query");
      return c.json(await readLife({ sql, kafka }, { id: event, ...hints }));
    },
  );
