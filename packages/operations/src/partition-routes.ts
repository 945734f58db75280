/** `/v1/partitions`: how far groups are, and partitions that are halted until somebody decides. */

import { fields, jsonBody } from "@outrider/http";
import { resumePartitions } from "@outrider/inbox";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, when } from "./forms.ts";
import { limitOf, listQuery, moment, name, partitionNumber, reason } from "./inputs.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { decode, pageOf, pageProblems, toPage } from "./page.ts";
import { chooseOffsets, listPartitions, logStates } from "./partitions.ts";

const partitionForm = v.strictObject({
  group: v.string(),
  topic: v.string(),
  partition: count,
  next: count,
  log: v.picklist(logStates),
  lag: v.nullable(count),
  clusterId: v.nullable(v.string()),
  topicId: v.nullable(v.string()),
  leaderEpoch: v.nullable(count),
  haltedAt: v.nullable(when),
  haltReason: v.nullable(v.string()),
  updatedAt: when,
});

const resumedForm = v.strictObject({
  items: v.array(v.strictObject({ partition: count, next: count })),
});

/** What is skipped is nobody's mistake: one partition or all, and from where, are said. */
const resumeBody = v.pipe(
  fields({
    group: name,
    topic: name,
    partition: v.optional(partitionNumber),
    all: v.optional(v.boolean("must be true or false")),
    from: v.union(
      [v.picklist(["beginning", "end"]), moment],
      "must be beginning, end, or a time such as 2026-01-31T12:00:00Z",
    ),
    reason,
  }),
  v.check(
    ({ partition, all }) => (partition === undefined) === (all === true),
    "say which partition is meant, or that all halted ones are",
  ),
);

const place = v.strictTuple([name, name, partitionNumber]);

export const partitionRoutes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listPartitions",
        scope: "events:read",
        summary: "Watermarks of groups by partition, with their log and what is halted",
        answer: [200, "A page of partitions", pageOf(partitionForm)],
        problems: pageProblems,
      }),
      listQuery({
        group: v.optional(name),
        topic: v.optional(name),
        halted: v.optional(v.picklist(["true", "false"], "must be true or false")),
      }),
      async (c) => {
        const { limit: asked, cursor, group, topic, halted } = c.req.valid("query");
        const limit = limitOf(asked);
        const [afterGroup, afterTopic, partition] = decode(cursor, place) ?? [];
        const isFirst = afterGroup === undefined || afterTopic === undefined;
        const found = await listPartitions(deps, {
          ...{ group, topics: topic === undefined ? undefined : [topic], limit: limit + 1 },
          halted: halted === undefined ? undefined : halted === "true",
          after: isFirst
            ? undefined
            : { group: afterGroup, topic: afterTopic, partition: partition ?? 0 },
        });
        return c.json(toPage(found, limit, (one) => [one.group, one.topic, one.partition]));
      },
    )
    .post(
      "/resume",
      operation({
        id: "resumePartitions",
        scope: "admin",
        summary: "End the halt of partitions, and say where their group goes on reading",
        answer: [200, "Where it goes on", resumedForm],
        body: true,
        problems: {
          404: "Nothing is halted there, or Kafka has no such topic",
          409: "It is halted no more, or what is parked has to be decided about first",
        },
      }),
      jsonBody(resumeBody),
      async (c) => {
        const { group, topic, partition, from, reason: why } = c.req.valid("json");
        const start = from === "beginning" || from === "end" ? from : new Date(from);
        const partitions = await chooseOffsets(deps, { group, topic, partition, from: start });
        const items = partitions.map((one) => ({ partition: one.partition, next: one.next }));
        const what = {
          sql: deps.sql,
          target: `partitions/${group}/${topic}/${partition ?? "all"}`,
          details: { from, reason: why, partitions: items },
        };
        await change(c, what, (tx) => resumePartitions(tx, { group, topic, partitions }));
        return c.json({ items });
      },
    );
