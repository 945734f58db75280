/**
 * The platform's tables, schema `outrider`. Triggers, storage parameters and seed rows stand in
 * custom migrations in drizzle/platform. What each table means: docs/design.md.
 */

import { sql } from "drizzle-orm";
import * as pg from "drizzle-orm/pg-core";

export const bytea = pg.customType<{ data: Uint8Array }>({ dataType: () => "bytea" });
export const timestamp = (name: string) => pg.timestamp(name, { withTimezone: true });

/** Stable and documented, so that a writer in any language lands in the same shard. */
const shardOfKey = () =>
  pg
    .smallint("shard")
    .notNull()
    .generatedAlwaysAs(sql`(get_byte(sha256("key"), 0) & 7)::smallint`);

export const outrider = pg.pgSchema("outrider");

/** What a waiting event consists of, wherever it waits. Null type and version: a raw record. */
export const eventColumns = () => ({
  eventId: pg.uuid("event_id").notNull(),
  type: pg.text("type"),
  version: pg.integer("version"),
  sequence: pg.bigint("sequence", { mode: "number" }),
  topic: pg.text("topic").notNull(),
  key: bytea("key").notNull(),
});

/** Committed events that are not in Kafka yet, and nothing else. */
export const outbox = outrider.table(
  "outbox",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity({ cache: 1 }).notNull(),
    ...eventColumns(),
    shard: shardOfKey(),
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
  /** Owners in a row that ended without giving the shard back and without a pass in between. */
  crashes: pg.smallint("crashes").notNull().default(0),
  /** After crashes: the row that is being published alone. */
  trying: pg.bigint("trying", { mode: "bigint" }),
  /** Owners in a row that ended while they were publishing that row. */
  tryingCrashes: pg.smallint("trying_crashes").notNull().default(0),
  /** After a crash: the last of the rows that are being published together, and how many. */
  suspectLast: pg.bigint("suspect_last", { mode: "bigint" }),
  suspectRows: pg.integer("suspect_rows"),
});

/** The relays that are alive, so that each can tell its fair share of the shards. */
export const relays = outrider.table("relays", {
  owner: pg.uuid("owner").primaryKey(),
  /** For people: host and process. */
  name: pg.text("name").notNull(),
  startedAt: timestamp("started_at").notNull(),
  deadline: timestamp("deadline").notNull(),
  /** What it has counted since it started. */
  stats: pg.jsonb("stats").notNull(),
  /** What keeps it from publishing something, as it has seen it last. */
  troubles: pg
    .jsonb("troubles")
    .notNull()
    .default(sql`'[]'`),
});

/** A (topic, key) whose head was refused for good: what comes after it waits in `outbox_held`. */
export const blocked = outrider.table(
  "blocked",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    topic: pg.text("topic").notNull(),
    key: bytea("key").notNull(),
    shard: shardOfKey(),
    /** The refused row in `outbox_held`. */
    headId: pg.bigint("head_id", { mode: "bigint" }).notNull(),
    letterId: pg.bigint("letter_id", { mode: "bigint" }).notNull(),
    /** `release`: an operator has decided, and the shard's owner carries it out. */
    state: pg
      .text("state", { enum: ["on", "release"] })
      .notNull()
      .default("on"),
    /** What becomes of the head; null once the owner has seen to it. */
    verdict: pg.text("verdict", { enum: ["retry", "edit", "discard"] }),
    /** The new event in place of the head, for the verdict `edit`. */
    replacementId: pg.uuid("replacement_id"),
    replacementPayload: bytea("replacement_payload"),
    blockedAt: timestamp("blocked_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  (table) => [
    // Hashed, since an index entry has room for 2,700 bytes and a key may be longer.
    pg.uniqueIndex("blocked_topic_key").on(table.topic, sql`sha256(${table.key})`),
    pg.index("blocked_shard").on(table.shard),
    pg.check("blocked_state", sql`"state" in ('on', 'release')`),
    pg.check("blocked_verdict", sql`"verdict" in ('retry', 'edit', 'discard')`),
  ],
);

/** Outbox rows that wait behind the head of their blocked key, the head included. */
export const outboxHeld = outrider.table(
  "outbox_held",
  {
    block: pg.bigint("block", { mode: "bigint" }).notNull(),
    /** As it was in the outbox. */
    id: pg.bigint("id", { mode: "bigint" }).notNull(),
    ...eventColumns(),
    headers: pg.jsonb("headers").notNull(),
    payload: bytea("payload").notNull(),
    createdAt: timestamp("created_at").notNull(),
  },
  (table) => [
    pg.primaryKey({ columns: [table.block, table.id] }),
    pg.index("outbox_held_event").on(table.eventId),
  ],
);

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

/** A key whose first unhandled event failed: what comes after it is parked behind it. */
export const parkedHeads = outrider.table(
  "parked_heads",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    handler: pg.text("handler").notNull(),
    topic: pg.text("topic").notNull(),
    key: bytea("key").notNull(),
    /** When its first event is to be run again. */
    dueAt: timestamp("due_at").notNull(),
    /** Of the runner that has claimed it. */
    token: pg.uuid("token"),
    claimedUntil: timestamp("claimed_until"),
    /** The due time for which a timer was set, outside. */
    timerAt: timestamp("timer_at"),
    /** Most events of one run: 1 after a failure of several, then more again. */
    batchMax: pg.integer("batch_max").notNull().default(200),
    /** Made by a redrive: nobody claims it before those are over who may be running its key. */
    fresh: pg.boolean("fresh").notNull().default(false),
    createdAt: timestamp("created_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  (table) => [
    // Hashed, since an index entry has room for 2,700 bytes and a key may be longer.
    pg.uniqueIndex("parked_heads_key").on(table.handler, table.topic, sql`sha256(${table.key})`),
    // With the time it was parked, all that is counted of a handler's keys is in the index.
    pg.index("parked_heads_due").on(table.handler, table.dueAt, table.createdAt),
  ],
);

/** Records that wait behind a head, the first of them included, as they came from Kafka. */
export const parked = outrider.table(
  "parked",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    head: pg.bigint("head", { mode: "bigint" }).notNull(),
    handler: pg.text("handler").notNull(),
    eventId: pg.uuid("event_id").notNull(),
    partition: pg.integer("partition").notNull(),
    offset: pg.bigint("offset", { mode: "number" }).notNull(),
    timestampMs: pg.bigint("timestamp_ms", { mode: "number" }).notNull(),
    recordKey: bytea("record_key"),
    /** As in `dead_letters`. */
    headers: pg.jsonb("headers").notNull(),
    value: bytea("value"),
    /** A dead one stays, and holds what is behind it, until somebody decides. */
    state: pg
      .text("state", { enum: ["due", "dead"] })
      .notNull()
      .default("due"),
    /** Runs of it alone that have failed, counted or not: the delays grow by them. */
    runs: pg.integer("runs").notNull().default(0),
    /** Runs of it alone that have failed by its own fault. */
    attempt: pg.integer("attempt").notNull().default(0),
    /** Runs of it, with others or alone, whose worker was not heard of again. */
    lost: pg.integer("lost").notNull().default(0),
    /** Processes that were seen to end while they ran it alone. */
    killed: pg.integer("killed").notNull().default(0),
    dueAt: timestamp("due_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    code: pg.text("code"),
    message: pg.text("message"),
    token: pg.uuid("token"),
    parkedAt: timestamp("parked_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  (table) => [
    pg.index("parked_queue").on(table.head, table.partition, table.offset),
    pg.uniqueIndex("parked_event").on(table.eventId, table.handler),
    // To count those of a handler: without it all queues are read for each.
    pg.index("parked_handler").on(table.handler),
    pg
      .index("parked_code")
      .on(table.code, table.head)
      .where(sql`"code" is not null`),
    // What a handler fails with, and how often, without reading its queues.
    pg
      .index("parked_failing")
      .on(table.handler, table.code, table.runs)
      .where(sql`"code" is not null and "state" = 'due'`),
    pg.check("parked_state", sql`"state" in ('due', 'dead')`),
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
    /** The log that the offset counts in; null: written by a version that did not know it. */
    clusterId: pg.text("cluster_id"),
    topicId: pg.text("topic_id"),
    /** Leader epoch of the last record below the offset; null: not known. */
    leaderEpoch: pg.integer("leader_epoch"),
    /** Since when nothing is read, and why; until an operator decides. */
    haltedAt: timestamp("halted_at"),
    haltReason: pg.text("halt_reason"),
    updatedAt: timestamp("updated_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  (table) => [pg.primaryKey({ columns: [table.group, table.topic, table.partition] })],
);

/**
 * Who reads a partition, a row for each assignment, removed when it is given back. One that is
 * left says that somebody may have ended amid what it was handling.
 */
export const readers = outrider.table(
  "readers",
  {
    group: pg.text("group").notNull(),
    topic: pg.text("topic").notNull(),
    partition: pg.integer("partition").notNull(),
    /** Of the assignment. */
    instance: pg.uuid("instance").notNull(),
    seenAt: timestamp("seen_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  (table) => [
    pg.primaryKey({ columns: [table.group, table.topic, table.partition, table.instance] }),
  ],
);

/**
 * Records that a lane is running now, a row for each of its transactions, where an earlier reader
 * may have ended amid them. A row that is left says that its reader has ended amid these.
 */
export const trials = outrider.table(
  "trials",
  {
    group: pg.text("group").notNull(),
    topic: pg.text("topic").notNull(),
    partition: pg.integer("partition").notNull(),
    /** Of the reader. */
    instance: pg.uuid("instance").notNull(),
    handler: pg.text("handler").notNull(),
    offsets: pg.bigint("offsets", { mode: "number" }).array().notNull(),
    /** The first of the offsets. */
    first: pg.bigint("first", { mode: "number" }).notNull(),
  },
  (table) => [
    pg.primaryKey({
      columns: [
        table.group,
        table.topic,
        table.partition,
        table.instance,
        table.handler,
        table.first,
      ],
    }),
  ],
);

/** Stored answers for the Idempotency-Key header. */
export const idempotencyKeys = outrider.table(
  "idempotency_keys",
  {
    /** Method, resource and caller. */
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

/** Handlers that are held back, since event after event fails; without a row all is well. */
export const breakers = outrider.table("breakers", {
  handler: pg.text("handler").primaryKey(),
  /** From here on one event may be tried. */
  openUntil: timestamp("open_until").notNull(),
  /** Times in a row that it has opened. */
  opened: pg.integer("opened").notNull().default(1),
  openedAt: timestamp("opened_at")
    .notNull()
    .default(sql`clock_timestamp()`),
  /** Of the failure that has opened it. */
  code: pg.text("code").notNull(),
  message: pg.text("message").notNull(),
  /** A worker is trying one event, and has that long. */
  probeUntil: timestamp("probe_until"),
});

/**
 * Runs of handlers with effects that no transaction holds: the row is committed before the run, so
 * one without an end says that nobody knows what has happened outside.
 */
export const externalAttempts = outrider.table(
  "external_attempts",
  {
    handler: pg.text("handler").notNull(),
    eventId: pg.uuid("event_id").notNull(),
    attempt: pg.integer("attempt").notNull(),
    startedAt: timestamp("started_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    endedAt: timestamp("ended_at"),
    /** `ok`, or the failure's code. */
    outcome: pg.text("outcome"),
  },
  (table) => [
    pg.primaryKey({ columns: [table.handler, table.eventId, table.attempt] }),
    pg.index("external_attempts_started_at").using("brin", table.startedAt),
  ],
);
