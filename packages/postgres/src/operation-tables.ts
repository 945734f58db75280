/** What operators need: who handles, what has failed, who may do what, and who did it. */

import { sql } from "drizzle-orm";
import * as pg from "drizzle-orm/pg-core";
import { bytea, outrider, timestamp } from "./tables.ts";

/** Handlers as the workers that run them have said. */
export const handlers = outrider.table("handlers", {
  name: pg.text("name").primaryKey(),
  group: pg.text("group").notNull(),
  /** Of the timers of its parked keys. */
  queue: pg.text("queue").notNull(),
  topics: pg.text("topics").array().notNull(),
  ordering: pg.text("ordering", { enum: ["key", "none"] }).notNull(),
  effects: pg.text("effects", { enum: ["transactional", "external"] }).notNull(),
  onBury: pg.text("on_bury", { enum: ["hold", "skip"] }).notNull(),
  attemptsMax: pg.integer("attempts_max").notNull(),
  /** When a worker has said so last. */
  seenAt: timestamp("seen_at")
    .notNull()
    .default(sql`clock_timestamp()`),
});

/** Processes that run handlers, and what they have counted. */
export const workers = outrider.table("workers", {
  instance: pg.uuid("instance").primaryKey(),
  /** For people: host and process. */
  name: pg.text("name").notNull(),
  startedAt: timestamp("started_at").notNull(),
  /** It has ended, or is cut off, when this is over. */
  deadline: timestamp("deadline").notNull(),
  /** By handler. */
  stats: pg.jsonb("stats").notNull(),
});

/** Runs of handlers that have failed, each with its reason. */
export const failedAttempts = outrider.table(
  "failed_attempts",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    handler: pg.text("handler").notNull(),
    eventId: pg.uuid("event_id").notNull(),
    at: timestamp("at")
      .notNull()
      .default(sql`clock_timestamp()`),
    /** Of those that count; null: it counts for nobody. */
    attempt: pg.integer("attempt"),
    /** `killed`: it has ended its process. */
    kind: pg
      .text("kind", { enum: ["transient", "deployment", "retryable", "fatal", "killed"] })
      .notNull(),
    code: pg.text("code").notNull(),
    message: pg.text("message").notNull(),
  },
  (table) => [
    pg.index("failed_attempts_event").on(table.eventId, table.id),
    pg.index("failed_attempts_at").using("brin", table.at),
    pg.check(
      "failed_attempts_kind",
      sql`"kind" in ('transient', 'deployment', 'retryable', 'fatal', 'killed')`,
    ),
  ],
);

/** Who may use the operations API. The key itself is not stored, only its hash. */
export const apiKeys = outrider.table(
  "api_keys",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    name: pg.text("name").notNull(),
    /** SHA-256 of the key's secret part, which is random and as long. */
    hash: bytea("hash").notNull(),
    scopes: pg.text("scopes").array().notNull(),
    createdAt: timestamp("created_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    createdBy: pg.text("created_by").notNull(),
    /** Null: never. */
    expiresAt: timestamp("expires_at"),
    /** To the minute. */
    usedAt: timestamp("used_at"),
    revokedAt: timestamp("revoked_at"),
    revokedBy: pg.text("revoked_by"),
  },
  (table) => [
    // One name, one key that works, so that the audit says who it was.
    pg
      .uniqueIndex("api_keys_name")
      .on(table.name)
      .where(sql`"revoked_at" is null`),
  ],
);

/** Everything that operators have changed. Rows are added only; triggers refuse the rest. */
export const audit = outrider.table(
  "audit",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    at: timestamp("at")
      .notNull()
      .default(sql`clock_timestamp()`),
    /** The name of a key, or of a user of the machine that the command ran on. */
    actor: pg.text("actor").notNull(),
    /** Null: a command on the machine itself. */
    apiKey: pg.bigint("api_key", { mode: "bigint" }),
    /** As the operations API names it: `redriveLetter`. */
    action: pg.text("action").notNull(),
    /** What it was done to: `dead-letters/7`. */
    target: pg.text("target").notNull(),
    details: pg.jsonb("details").notNull(),
    requestId: pg.text("request_id").notNull(),
  },
  (table) => [pg.index("audit_target").on(table.target, table.id)],
);

/** A decision about many parked keys or dead letters, carried out step by step. */
export const operations = outrider.table(
  "operations",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    state: pg
      .text("state", { enum: ["running", "done", "cancelled"] })
      .notNull()
      .default("running"),
    action: pg.text("action").notNull(),
    /** Which ones were meant. */
    filter: pg.jsonb("filter").notNull(),
    /** What else was asked for. */
    details: pg.jsonb("details").notNull(),
    by: pg.text("by").notNull(),
    reason: pg.text("reason").notNull(),
    /** Ids up to this one: what comes later is not meant. */
    idMax: pg.bigint("id_max", { mode: "bigint" }).notNull(),
    /** Ids up to this one have been seen to. */
    position: pg
      .bigint("position", { mode: "bigint" })
      .notNull()
      .default(sql`0`),
    /** Those that were meant when it was made. */
    total: pg.integer("total").notNull(),
    done: pg.integer("done").notNull().default(0),
    /** Things had changed before their turn came. */
    refused: pg.integer("refused").notNull().default(0),
    /** Of the last one that was refused. */
    message: pg.text("message"),
    createdAt: timestamp("created_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    changedAt: timestamp("changed_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  () => [pg.check("operations_state", sql`"state" in ('running', 'done', 'cancelled')`)],
);
