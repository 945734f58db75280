/** `/v1/events`: events by what is known of them, and one event's whole life. */

import { about, fields, query } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { outcomeStates } from "./event-facts.ts";
import { readLife } from "./event-life.ts";
import { eventStates, listEvents } from "./event-list.ts";
import { chapterKinds } from "./event-story.ts";
import { count, form, headerPairs, id, uuidForm, when } from "./forms.ts";
import { dateOf, limitOf, moment, name, paging, text, uuidParam } from "./inputs.ts";
import { look } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";

const topic = about(v.string(), "The topic", "order-events");
const key = about(v.string(), "What order is kept for", "order-4711");
const handler = about(v.string(), "The handler", "shop.receipt");
const eventType = about(v.nullable(v.string()), "Its type, where known", "order.order.created");
const eventVersion = about(v.nullable(count), "The version of its schema, where known", 1);
const message = about(v.string(), "What happened", "The receipts service answered 503");
const code = about(v.string(), "The code of the failure", "unavailable");

const place = {
  topic,
  partition: about(count, "The partition of its record", 3),
  offset: about(count, "The offset of its record", 1042),
};

const outbox = form("OutboxRow", "A row that waits to be published, or is held.", {
  state: about(
    v.picklist(["pending", "held"]),
    "Pending: not published yet; held: behind a letter that blocks its key",
  ),
  shard: about(v.nullable(count), "The shard that publishes it; null: it is held", 2),
  letter: about(v.nullable(id), "The dead letter that blocks its key; null: none does", 7),
  type: eventType,
  version: eventVersion,
  topic,
  key,
  createdAt: about(when, "When it was written"),
});

const record = form("EventRecord", "The record in Kafka.", {
  ...place,
  timestamp: about(when, "When it was published"),
  headers: headerPairs,
  payload: about(
    v.string(),
    "As text, cut after 20,000 characters; what is no UTF-8 is replaced",
    '{"orderId":"order-4711"}',
  ),
  payloadBytes: about(count, "Its whole size in bytes", 312),
});

const failedAttempt = form("FailedAttempt", "A run of the event by itself that failed.", {
  handler,
  at: about(when, "When it failed"),
  attempt: about(v.nullable(count), "Which attempt it was; null: it counts for nobody", 1),
  kind: about(
    v.picklist(["transient", "deployment", "retryable", "fatal", "killed"]),
    "Transient and deployment count for nobody; fatal and killed are not tried again for ever",
  ),
  code,
  message,
});

const externalAttempt = form("ExternalAttempt", "A run of a handler with effects outside.", {
  handler,
  attempt: about(count, "Which run it was", 1),
  startedAt: about(when, "When it began"),
  endedAt: about(v.nullable(when), "When it ended; null: it runs, or nobody knows"),
  outcome: about(v.nullable(v.string()), "How it ended; null: nobody knows", "handled"),
});

const parked = form("ParkedRow", "The event waits for a handler, with its key.", {
  handler,
  head: about(id, "The number of the parked key", 7),
  ...place,
  state: about(v.picklist(["due", "dead"]), "Due: it will be run; dead: a letter holds it"),
  runs: about(count, "Runs of it alone that failed", 4),
  attempts: about(count, "Those of them that count", 3),
  dueAt: about(v.nullable(when), "When it is run; null: it waits for another event or a decision"),
  isRunning: about(v.boolean(), "A worker runs it now"),
  ahead: about(count, "Events of its key before it, counted up to 100,000", 0),
  parkedAt: about(when, "When it was parked"),
});

const letterEntry = form("LetterEntry", "Something that happened to a letter.", {
  at: about(when, "When"),
  action: about(v.picklist(["buried", "redriven", "discarded", "restored", "noted"]), "What"),
  by: about(v.nullable(v.string()), "Who did it; null: the system", "ann"),
  message: about(v.string(), "The failure, or why it was done", "the receipts service is back"),
  replacedBy: about(v.nullable(uuidForm), "The event that took its place; null: none did"),
  redrive: about(v.nullable(id), "The redrive that it was part of; null: none", 7),
});

const letter = form("EventLetter", "A dead letter of the event.", {
  id: about(id, "Its number", 7),
  handler: about(v.nullable(v.string()), "Who gave up; null: the relay", "shop.receipt"),
  state: about(v.picklist(["open", "redriven", "discarded"]), "What has become of it"),
  topic,
  partition: about(v.nullable(count), "The partition; null: it never got into Kafka", 3),
  offset: about(v.nullable(count), "The offset; null: it never got into Kafka", 1042),
  skipped: about(v.boolean(), "Later events of its key went on without it"),
  history: about(v.array(letterEntry), "What happened to it, the oldest first"),
});

const expected = form("ExpectedHandler", "A handler that has not come to the event yet.", {
  handler,
  group: about(v.string(), "Its group", "shop-receipts"),
  behind: about(count, "Records that the group reads before it", 12),
});

const inbox = form("InboxRow", "The outcome of the event for a handler.", {
  handler,
  state: about(v.picklist(["handled", "parked", "dead"]), "The outcome"),
  ...place,
  recordedAt: about(when, "When the outcome was stored, the first time"),
});

const decision = form("EventDecision", "What an operator decided while it was parked.", {
  at: about(when, "When"),
  by: about(v.string(), "Who: the name of a key", "ann"),
  action: about(v.string(), "The operation of this API", "runParked"),
  details: about(v.record(v.string(), v.unknown()), "What was asked for", { parked: 7 }),
});

const chapter = form("Chapter", "One line of the story.", {
  at: about(v.nullable(when), "When; null: it is not known, or now"),
  what: about(v.picklist(chapterKinds), "What kind of thing it is"),
  handler: about(v.nullable(v.string()), "Whose it is; null: no handler's", "shop.receipt"),
  text: about(v.string(), "What to tell", "attempt 1 failed: retryable, internal: no answer"),
});

const life = form("EventLife", "Everything that is known about one event.", {
  id: about(uuidForm, "Its id"),
  type: eventType,
  version: eventVersion,
  source: about(v.nullable(v.string()), "Who wrote it, where known", "shop"),
  topic: about(v.nullable(v.string()), "Its topic, where known", "order-events"),
  key: about(v.nullable(v.string()), "What order is kept for, where known", "order-4711"),
  occurredAt: about(v.nullable(when), "When it occurred, where known"),
  replaces: about(v.nullable(uuidForm), "The event whose place it took; null: none"),
  outbox: about(v.nullable(outbox), "Its row in the outbox; null: there is none"),
  recordState: about(
    v.picklist(["found", "removed", "not found", "not published", "away"]),
    "What is known of its record; away: Kafka could not be asked",
  ),
  record: about(v.nullable(record), "Its record; null: it was not read"),
  expected: about(v.array(expected), "Handlers that have not come to it yet"),
  inbox: about(v.array(inbox), "Its outcomes, by handler"),
  failed: about(v.array(failedAttempt), "Its failed attempts, the oldest first"),
  external: about(v.array(externalAttempt), "Its runs with effects outside, the oldest first"),
  parked: about(v.array(parked), "Where it is parked, by handler"),
  letters: about(v.array(letter), "Its dead letters"),
  decisions: about(v.array(decision), "What operators have decided, the oldest first"),
  story: about(v.array(chapter), "All of it in the order in which it happened"),
});

const hints = {
  topic: v.optional(about(name, "Where to look for the event", "order-events")),
  key: v.optional(about(text(10_000), "What to look for it by", "order-4711")),
};

const outcome = form("EventOutcome", "What has become of the event for a handler.", {
  handler,
  state: about(v.picklist(outcomeStates), "The outcome; of a dead letter, what was decided"),
});

const listed = form("ListedEvent", "An event, where it is, and its outcomes.", {
  id: about(uuidForm, "Its id"),
  state: about(
    v.picklist(eventStates),
    "Pending, held behind a letter, or dead: not in Kafka; published: in Kafka",
  ),
  type: eventType,
  version: eventVersion,
  topic,
  partition: about(v.nullable(count), "The partition; null: it is not in Kafka", 3),
  offset: about(v.nullable(count), "The offset; null: it is not in Kafka", 1042),
  key,
  correlationId: about(v.nullable(v.string()), "Of its chain; null: it has none", "req-4711"),
  at: about(when, "When it was published; where it was not, when it was written"),
  outcomes: about(v.array(outcome), "Its outcomes, by handler"),
});

const eventList = form("EventList", "Events that were found, the oldest first.", {
  items: about(v.array(listed), "The events"),
  since: about(when, "What was published before has not been looked at"),
  isWhole: about(v.boolean(), "False: there may be more"),
  isKafkaAway: about(v.boolean(), "Kafka could not be asked: what it holds is not among them"),
});

const filters = {
  key: v.optional(about(text(10_000), "What order is kept for", "order-4711")),
  correlationId: v.optional(about(text(10_000), "Of the request or event that began the chain")),
  type: v.optional(about(name, "The type", "order.order.created")),
  topic: v.optional(about(name, "In place of all topics that handlers read", "order-events")),
  since: about(v.optional(moment), "Published since; a day ago where it is not said"),
  until: about(v.optional(moment), "Published before"),
  limit: paging.limit,
};

export const eventRoutes = ({ sql, kafka }: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listEvents",
        scope: "events:read",
        answer: [200, "The events", eventList],
        problems: { 422: "A filter, or limit, is invalid" },
      }),
      query(fields(filters)),
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
        answer: [200, "The life", life],
        problems: { 404: "Nothing that was looked at knows the event", 422: "A hint is invalid" },
      }),
      uuidParam("event"),
      query(fields(hints)),
      async (c) => {
        const event = c.req.valid("param").id.toLowerCase();
        const asked = { id: event, ...c.req.valid("query") };
        return c.json(await readLife({ sql, kafka }, asked));
      },
    );
