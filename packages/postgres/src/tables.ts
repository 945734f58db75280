/**
 * The platform's tables, schema `outrider`. Triggers, storage parameters and seed rows stand in
 * custom migrations in drizzle/platform. What each table means: docs/design.md.
 */

import { sql } from "drizzle-orm";
import * as pg from "drizzle-orm/pg-core";

const bytea = pg.customType<{ data: Uint8Array }>({ dataType: () => "bytea" });
const timestamp = (name: string) => pg.timestamp(name, { withTimezone: true });

export const outrider = pg.pgSchema("outrider");

/** Committed events that are not in Kafka yet, and nothing else. */
export const outbox = outrider.table(
  "outbox",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity({ cache: 1 }).notNull(),
    eventId: pg.uuid("event_id").notNull(),
    // Null type and version: a raw record, whose headers are complete.
    type: pg.text("type"),
    version: pg.integer("version"),
    sequence: pg.bigint("sequence", { mode: "number" }),
    topic: pg.text("topic").notNull(),
    key: bytea("key").notNull(),
    // Stable and documented, so that a writer in any language lands in the same shard.
    shard: pg
      .smallint("shard")
      .notNull()
      .generatedAlwaysAs(sql`(get_byte(sha256("key"), 0) & 7)::smallint`),
    headers: pg.jsonb("headers").notNull(),
    payload: bytea("payload").notNull(),
    createdAt: timestamp("created_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  // The only index: beside one on id alone the planner scans that and filters by shard.
  (table) => [pg.uniqueIndex("outbox_shard_id").on(table.shard, table.id)],
);

/** Who publishes a hash bucket of keys, and until when. `epoch` rises with every owner. */
export const shards = outrider.table("shards", {
  shard: pg.smallint("shard").primaryKey(),
  /** Version of the key hash and shard count. */
  layout: pg.integer("layout").notNull(),
  owner: pg.uuid("owner"),
  epoch: pg
    .bigint("epoch", { mode: "bigint" })
    .notNull()
    .default(sql`0`),
  deadline: timestamp("deadline"),
});

/** One row per (handler, event) and its outcome, whatever it is. */
export const inbox = outrider.table(
  "inbox",
  {
    handler: pg.text("handler").notNull(),
    eventId: pg.uuid("event_id").notNull(),
    state: pg.text("state", { enum: ["handled", "parked", "dead"] }).notNull(),
    topic: pg.text("topic").notNull(),
    partition: pg.integer("partition").notNull(),
    offset: pg.bigint("offset", { mode: "number" }).notNull(),
    recordedAt: timestamp("recorded_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  (table) => [
    pg.primaryKey({ columns: [table.handler, table.eventId] }),
    // Rows are appended in time order, so a few kilobytes are enough to remove old ones in bulk.
    pg.index("inbox_recorded_at").using("brin", table.recordedAt),
    pg.check("inbox_state", sql`"state" in ('handled', 'parked', 'dead')`),
  ],
);

/** Where a group goes on in a partition: everything below has an outcome in the inbox. */
export const watermarks = outrider.table(
  "watermarks",
  {
    group: pg.text("group").notNull(),
    topic: pg.text("topic").notNull(),
    partition: pg.integer("partition").notNull(),
    nextOffset: pg.bigint("next_offset", { mode: "number" }).notNull(),
    updatedAt: timestamp("updated_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  (table) => [pg.primaryKey({ columns: [table.group, table.topic, table.partition] })],
);

/** Stored answers for the Idempotency-Key header. */
export const idempotencyKeys = outrider.table(
  "idempotency_keys",
  {
    /** Method, path and caller. */
    scope: pg.text("scope").notNull(),
    key: pg.text("key").notNull(),
    /** SHA-256 of the request body. */
    fingerprint: bytea("fingerprint").notNull(),
    status: pg.smallint("status").notNull(),
    headers: pg.jsonb("headers").$type<Record<string, string>>().notNull(),
    body: pg.text("body").notNull(),
    createdAt: timestamp("created_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  (table) => [
    pg.primaryKey({ columns: [table.scope, table.key] }),
    pg.index("idempotency_keys_created_at").on(table.createdAt),
  ],
);
