/** `/v1/retry-queue`: the timers of parked keys as Redis holds them. */

import { fault } from "@outrider/event";
import { about, fields, query } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, form, id, listOf, when } from "./forms.ts";
import { limitOf, paging } from "./inputs.ts";
import { look } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { disagreements, readQueueNames, readRetries } from "./retry-queue.ts";

const timedKey = {
  id: about(id, "The number of the parked key", 7),
  handler: about(v.string(), "The handler whose event failed", "shop.receipt"),
  topic: about(v.string(), "The topic of the events", "order-events"),
  key: about(v.string(), "The key, as text", "order-4711"),
  dueAt: about(v.nullable(when), "When its first event is run; null: a dead letter holds it"),
  isTimed: about(v.boolean(), "A timer was set for that time"),
};

const counts = form("TimerCounts", "Timers of a queue, by their state in Redis.", {
  waiting: about(count, "Due, and not taken yet", 0),
  delayed: about(count, "Not due yet", 4),
  active: about(count, "Taken by a worker", 0),
  failed: about(count, "Failed; the keys are found all the same", 0),
});

const timer = form("Timer", "A timer in Redis, beside its parked key.", {
  id: about(v.string(), "The job in Redis", "7-cd6ed294-db24-463a-bc60-fa61a7429b3d"),
  timer: about(v.string(), "What it was set with: the number of the parked key", "7"),
  state: about(v.picklist(["waiting", "delayed", "active", "failed"]), "Its state in Redis"),
  dueAt: about(when, "When it is due"),
  startedAt: about(v.nullable(when), "When a worker took it; null: none has"),
  attemptsMade: about(count, "How often it was run", 0),
  failedReason: about(v.nullable(v.string()), "Why it failed; null: it has not", "no answer"),
  parked: about(
    v.nullable(form("TimedKey", "A parked key, as the timers see it.", timedKey)),
    "Its parked key; null: the key has gone on",
  ),
  disagreement: about(
    v.nullable(v.picklist(disagreements)),
    "How the two disagree; null: they do not",
    "another due time",
  ),
});

const missingTimer = form("MissingTimer", "A parked key whose timer Redis has lost.", {
  ...timedKey,
  disagreement: about(v.picklist(["no timer"]), "Workers find it by looking, up to 1 s late"),
});

const queue = form("RetryQueue", "The timers of an app's workers.", {
  queue: about(v.string(), "Its name", "shop"),
  counts,
  jobs: about(v.array(timer), "In the order in which they are due"),
  isWhole: about(v.boolean(), "All timers are listed"),
  missing: about(v.array(missingTimer), "Parked keys whose timer should be listed and is not"),
});

export const retryQueueRoutes = ({ sql, retryQueues }: OperationsDeps) =>
  new Hono<OperationsEnv>().get(
    "/",
    look({
      id: "getRetryQueue",
      scope: "events:read",
      answer: [
        200,
        "A queue for each app with workers",
        listOf(queue, "A queue for each app with workers"),
      ],
      problems: {
        422: "A filter is invalid",
        503: "The database or Redis cannot be reached, or there is no Redis.",
      },
    }),
    query(
      fields({
        queue: v.optional(about(queueName, "One queue; all of them where none is named", "shop")),
        limit: paging.limit,
      }),
    ),
    async (c) => {
      const { queue: wanted, limit } = c.req.valid("query");
      if (!retryQueues) throw fault("unavailable", "REDIS_URL is not set: there are no timers");
      const names = wanted === undefined ? await readQueueNames(sql) : [wanted];
      const items = await Promise.all(
        names.map((name) => readRetries({ sql, retryQueues }, name, limitOf(limit))),
      );
      return c.json({ items });
    },
  );

const queueName = v.pipe(
  v.string(),
  v.maxLength(255),
  v.regex(/^[\w.-]+$/, "must be the name of a queue: letters, digits, dots, dashes, underscores"),
);
