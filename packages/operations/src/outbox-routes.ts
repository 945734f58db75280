/** `/v1/outbox` and `/v1/shards`: what waits to be published, by whom, and what is in the way. */

import { about } from "@outrider/http";
import { countMax, readShards } from "@outrider/outbox";
import { Hono } from "hono";
import * as v from "valibot";
import type { OperationsDeps } from "./api.ts";
import { count, findings, form, id, listOf, uuidForm, when } from "./forms.ts";
import { look } from "./operation.ts";
import type { OperationsEnv } from "./operation.ts";
import type { OutboxLook } from "./outbox-look.ts";

const holder = form("Holder", "Who holds something up in Postgres.", {
  kind: about(v.picklist(["session", "prepared transaction", "replication slot"]), "What it is"),
  name: about(v.string(), "Its pid and application, or its name", "4711 shop"),
  ageMs: about(v.nullable(v.number()), "Since when; null: it is not known", 61_000),
  doing: about(
    v.nullable(v.string()),
    "What it does; null: it is not known",
    "idle in transaction",
  ),
});

const shard = form("Shard", "A hash bucket of keys, and who publishes it.", {
  shard: about(count, "Its number", 2),
  layout: about(
    count,
    "The layout that it belongs to: another one with another number of shards",
    1,
  ),
  owner: about(v.nullable(v.string()), "The relay that owns it; null: none does", "host-1 4712"),
  epoch: about(count, "It rises with every owner", 5),
  leaseLeftMs: about(v.nullable(v.number()), "Until its lease ends; null: it has no owner", 8_200),
  pending: about(count, `Events that wait to be published, counted up to ${countMax}`, 0),
  oldestAgeMs: about(v.nullable(v.number()), "Since the oldest was written; null: none waits", 12),
  crashes: about(
    v.number(),
    "Owners in a row that ended without giving it back, and that nobody has outlived",
    0,
  ),
});

const trouble = form("Trouble", "What keeps a relay from publishing something.", {
  kind: about(
    v.picklist(["refused", "stuck", "failing"]),
    "Refused: Kafka takes nothing of the topic; stuck: it does not answer; failing: the shard",
  ),
  shard: about(count, "The shard", 2),
  topic: about(v.nullable(v.string()), "The topic; null: the whole shard", "order-events"),
  reason: about(v.string(), "Why", "Kafka refused a record of order-events"),
});

const relay = form("Relay", "A process that publishes.", {
  name: about(v.string(), "Its name", "host-1 4712"),
  startedAt: about(when, "When it started"),
  isAlive: about(v.boolean(), "False: it has ended without a word, or is cut off"),
  counts: about(v.record(v.string(), v.number()), "What it has counted since it started", {
    published: 120_000,
    buried: 0,
    held: 0,
    failures: 0,
    late: 0,
    gaps: 0,
    repeats: 0,
  }),
  troubles: about(v.array(trouble), "What it cannot publish now, at most 20"),
});

const rates = form("OutboxRates", "How fast the outbox fills and empties, in events a second.", {
  arrival: about(v.number(), "Written; ids that a rollback threw away count, too", 120),
  drain: about(v.number(), "Published", 118.5),
  growth: about(v.nullable(v.number()), "More of them wait; null: too many to be counted", 1.5),
  timeToEmptyS: about(v.nullable(v.number()), "Seconds; null: it does not get less", null),
});

const blockedKey = form("BlockedKey", "A key that a dead letter of the relay blocks.", {
  letterId: about(id, "The letter", 7),
  topic: about(v.string(), "The topic", "order-events"),
  key: about(v.string(), "The key", "order-4711"),
  eventId: about(uuidForm, "The event that was given up"),
  code: about(v.string(), "The code of its failure", "MSG_SIZE_TOO_LARGE"),
  isReleasing: about(v.boolean(), "An operator has decided, and the shard's owner carries it out"),
  blockedAt: about(when, "Since when"),
  waiting: about(count, `Events behind it, counted up to ${countMax}`, 3),
});

const letterCount = form("LetterCount", "Open dead letters of the relay with one code.", {
  code: about(v.string(), "The code of the failure", "MSG_SIZE_TOO_LARGE"),
  count: about(count, "How many", 1),
});

const table = form("OutboxTable", "The table on disk.", {
  bytes: about(count, "Its size with its indexes", 262_144),
  deadRows: about(count, "Deleted rows that are not vacuumed yet", 1200),
});

const outbox = form("Outbox", "What waits to be published, by whom, and what is in the way.", {
  at: about(when, "When this was read, on the database's clock"),
  shards: about(v.array(shard), "All shards"),
  relays: about(v.array(relay), "All relays"),
  blocked: about(v.array(blockedKey), "Blocked keys, at most 50"),
  openLetters: about(v.array(letterCount), "Open dead letters of the relay, by code"),
  horizon: about(v.nullable(holder), "The oldest that keeps deleted rows from vacuum; null: none"),
  hangingWriters: about(v.array(holder), "Transactions that hang with an event"),
  table: about(table, "The table on disk"),
  drawn: about(
    count,
    "Ids drawn so far, those of transactions that were rolled back included",
    120_345,
  ),
  rates: about(v.nullable(rates), "Null: nobody has looked in the last ten seconds"),
  findings,
});

export const outboxRoutes = ({ sql }: OperationsDeps, lookAtOutbox: () => Promise<OutboxLook>) =>
  new Hono<OperationsEnv>()
    .get(
      "/outbox",
      look({
        id: "getOutbox",
        scope: "events:read",
        answer: [200, "The outbox", outbox],
      }),
      async (c) => c.json(await lookAtOutbox()),
    )
    .get(
      "/shards",
      look({
        id: "listShards",
        scope: "events:read",
        answer: [200, "The shards", listOf(shard, "All shards")],
      }),
      async (c) => c.json({ items: await readShards(sql) }),
    );
