/** `/v1/events`: events by what is known of them, and one event's whole life. */

import { fields, query } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { readLife } from "./event-life.ts";
import { eventStates, listEvents } from "./event-list.ts";
import { chapterKinds } from "./event-story.ts";
import { count, headerPairs, id, uuidForm, when } from "./forms.ts";
import { dateOf, limitOf, limitText, moment, name, text, uuidParam } from "./inputs.ts";
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

const listed = v.strictObject({
  id: uuidForm,
  state: v.picklist(eventStates),
  type: v.nullable(v.string()),
  version: v.nullable(count),
  topic: v.string(),
  partition: v.nullable(count),
  offset: v.nullable(count),
  key: v.string(),
  correlationId: v.nullable(v.string()),
  at: when,
  outcomes: v.array(
    v.strictObject({ handler: v.string(), state: v.picklist(["handled", "parked", "dead"]) }),
  ),
});

const list = v.strictObject({
  items: v.array(listed),
  since: when,
  isWhole: v.boolean(),
  isKafkaAway: v.boolean(),
});

const listQueryOf = query(
  fields({
    key: v.optional(text(10_000)),
    correlationId: v.optional(text(10_000)),
    type: v.optional(name),
    topic: v.optional(name),
    since: v.optional(moment),
    until: v.optional(moment),
    limit: v.optional(limitText),
  }),
);

export const eventRoutes = ({ sql, kafka }: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listEvents",
        scope: "events:read",
        summary: "Events of a key, a chain, a type or a time, the oldest first",
        answer: [200, "The events that were found, and whether there may be more", list],
        problems: { 422: "A filter, or limit, is invalid" },
      }),
      listQueryOf,
      async (c) => {
        const { limit, since, until, ...filter } = c.req.valid("query");
        const times = { since: dateOf(since), until: dateOf(until) };
        const asked = { ...filter, ...times, limit: limitOf(limit) };
        return c.json(await listEvents({ sql, kafka }, asked));
      },
    )
    .get(
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
