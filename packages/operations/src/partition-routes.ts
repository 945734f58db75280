/** `/v1/partitions`: how far groups are, and partitions that are halted until somebody decides. */

import { about, fields, jsonBody, named } from "@outrider/http";
import { resumePartitions } from "@outrider/inbox";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, form, when } from "./forms.ts";
import { limitOf, listQuery, moment, name, partitionNumber, reason } from "./inputs.ts";
import { change, look, operation } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import { decode, pageOf, pageProblems, toPage } from "./page.ts";
import { chooseOffsets, listPartitions, logStates } from "./partitions.ts";

const partitionForm = form("Partition", "How far a group is in a partition.", {
  group: about(v.string(), "The group", "shop"),
  topic: about(v.string(), "The topic", "order-events"),
  partition: about(count, "The partition", 3),
  next: about(count, "The watermark: every event below this offset has an outcome", 1042),
  log: about(
    v.picklist(logStates),
    "Whether Kafka still has the log that the watermark counts in",
    "same",
  ),
  lag: about(v.nullable(count), "Records that the group has not read; null: nobody can say", 12),
  clusterId: about(v.nullable(v.string()), "The cluster, where known", "MkU3OEVBNTcwNTJENDM2Qk"),
  topicId: about(v.nullable(v.string()), "The topic's id, where known", "Qh7bUZ5pQ4qK0v2m1nYx3w"),
  leaderEpoch: about(v.nullable(count), "Of the last record below the watermark, where known", 4),
  haltedAt: about(v.nullable(when), "Since when nothing is read; null: it is read"),
  haltReason: about(v.nullable(v.string()), "Why; null: it is read", "the topic was made anew"),
  updatedAt: about(when, "When the watermark was written, the last time"),
});

const resumedForm = form("Resumed", "Where partitions go on.", {
  items: about(
    v.array(
      form("ResumedPartition", "Where a partition goes on.", {
        partition: about(count, "The partition", 3),
        next: about(count, "The first offset that is read", 0),
      }),
    ),
    "Each partition that is halted no more",
  ),
});

/** What is skipped is nobody's mistake: one partition or all, and from where, are said. */
const resumeBody = named(
  v.pipe(
    fields({
      group: about(name, "The group", "shop"),
      topic: about(name, "The topic", "order-events"),
      partition: v.optional(about(partitionNumber, "The partition that is meant", 3)),
      all: v.optional(
        about(v.boolean("must be true or false"), "All that are halted of the topic are meant"),
      ),
      from: about(
        v.union(
          [v.picklist(["beginning", "end"]), moment],
          "must be beginning, end, or a time such as 2026-01-31T12:00:00Z",
        ),
        "Where the group goes on: at an end of the log, or at a time",
        "beginning",
      ),
      reason,
    }),
    v.check(
      ({ partition, all }) => (partition === undefined) === (all === true),
      "say which partition is meant, or that all halted ones are",
    ),
  ),
  {
    name: "Resumption",
    description: "Which partitions are meant, where they go on, and why.",
    examples: [
      {
        group: "shop",
        topic: "order-events",
        partition: 3,
        from: "beginning",
        reason: "the topic was made anew",
      },
    ],
  },
);

const partitionFilter = {
  group: v.optional(about(name, "The group", "shop")),
  topic: v.optional(about(name, "The topic", "order-events")),
  halted: v.optional(
    about(v.picklist(["true", "false"], "must be true or false"), "Whether they are halted"),
  ),
};

const place = v.strictTuple([name, name, partitionNumber]);

export const partitionRoutes = (deps: OperationsDeps) =>
  new Hono<OperationsEnv>()
    .get(
      "/",
      look({
        id: "listPartitions",
        scope: "events:read",
        answer: [200, "A page of partitions", pageOf(partitionForm)],
        problems: pageProblems,
      }),
      listQuery(partitionFilter),
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
        answer: [200, "Where it goes on", resumedForm],
        body: true,
        problems: {
          404: "Nothing is halted there, or Kafka has no such topic",
          503: "The database or Kafka cannot be reached. Try again after Retry-After.",
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
