/** `/v1/outbox` and `/v1/shards`: what waits to be published, by whom, and what is in the way. */

import { countMax, readShards } from "@outrider/outbox";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, findings, id, uuidForm, when } from "./forms.ts";
import { look } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import type { OutboxLook } from "./outbox-look.ts";

const holder = v.strictObject({
  kind: v.picklist(["session", "prepared transaction", "replication slot"]),
  name: v.string(),
  ageMs: v.nullable(v.number()),
  doing: v.nullable(v.string()),
});

const shard = v.strictObject({
  shard: count,
  layout: count,
  owner: v.nullable(v.string()),
  epoch: count,
  leaseLeftMs: v.nullable(v.number()),
  pending: v.pipe(count, v.description(`Counted up to ${countMax}`)),
  oldestAgeMs: v.nullable(v.number()),
  crashes: v.number(),
});

const relay = v.strictObject({
  name: v.string(),
  startedAt: when,
  isAlive: v.boolean(),
  counts: v.record(v.string(), v.number()),
  troubles: v.array(
    v.strictObject({
      kind: v.picklist(["refused", "stuck", "failing"]),
      shard: count,
      topic: v.nullable(v.string()),
      reason: v.string(),
    }),
  ),
});

const rates = v.strictObject({
  arrival: v.number(),
  drain: v.number(),
  growth: v.nullable(v.number()),
  timeToEmptyS: v.nullable(v.number()),
});

const outbox = v.strictObject({
  at: when,
  shards: v.array(shard),
  relays: v.array(relay),
  blocked: v.array(
    v.strictObject({
      letterId: id,
      topic: v.string(),
      key: v.string(),
      eventId: uuidForm,
      code: v.string(),
      isReleasing: v.boolean(),
      blockedAt: when,
      waiting: count,
    }),
  ),
  openLetters: v.array(v.strictObject({ code: v.string(), count })),
  horizon: v.nullable(holder),
  hangingWriters: v.array(holder),
  table: v.strictObject({ bytes: count, deadRows: count }),
  drawn: count,
  rates: v.nullable(rates),
  findings,
});

export const outboxRoutes = ({ sql }: OperationsDeps, lookAtOutbox: () => Promise<OutboxLook>) =>
  new Hono<OperationsEnv>()
    .get(
      "/outbox",
      look({
        id: "getOutbox",
        scope: "events:read",
        summary: "What waits to be published, who publishes it, and what is in the way",
        answer: [200, "The outbox", outbox],
      }),
      async (c) => c.json(await lookAtOutbox()),
    )
    .get(
      "/shards",
      look({
        id: "listShards",
        scope: "events:read",
        summary: "Shards, who owns them, and what waits in them",
        answer: [200, "The shards", v.strictObject({ items: v.array(shard) })],
      }),
      async (c) => c.json({ items: await readShards(sql) }),
    );
