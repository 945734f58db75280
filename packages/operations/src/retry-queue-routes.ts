/** `/v1/retry-queue`: the timers of parked keys as Redis holds them. */

import { fault } from "@outrider/event";
import { fields, query } from "@outrider/http";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, id, when } from "./forms.ts";
import { limitOf, paging } from "./inputs.ts";
import { look } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { disagreements, readQueueNames, readRetries } from "./retry-queue.ts";

const timedKey = {
  id,
  handler: v.string(),
  topic: v.string(),
  key: v.string(),
  dueAt: v.nullable(when),
  isTimed: v.boolean(),
};

const queue = v.strictObject({
  queue: v.string(),
  counts: v.strictObject({ waiting: count, delayed: count, active: count, failed: count }),
  jobs: v.array(
    v.strictObject({
      id: v.string(),
      timer: v.string(),
      state: v.picklist(["waiting", "delayed", "active", "failed"]),
      dueAt: when,
      startedAt: v.nullable(when),
      attemptsMade: count,
      failedReason: v.nullable(v.string()),
      parked: v.nullable(v.strictObject(timedKey)),
      disagreement: v.nullable(v.picklist(disagreements)),
    }),
  ),
  isWhole: v.boolean(),
  missing: v.array(v.strictObject({ ...timedKey, disagreement: v.picklist(["no timer"]) })),
});

export const retryQueueRoutes = ({ sql, retryQueues }: OperationsDeps) =>
  new Hono<OperationsEnv>().get(
    "/",
    look({
      id: "getRetryQueue",
      scope: "events:read",
      summary: "Timers in Redis, each beside its parked key, and where the two disagree",
      answer: [200, "A queue for each app with workers", v.strictObject({ items: v.array(queue) })],
      problems: { 422: "A filter is invalid" },
    }),
    query(fields({ queue: v.optional(queueName), limit: paging.limit })),
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
