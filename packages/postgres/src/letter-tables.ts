/** What was given up, what has become of it, and operations over many of them. */

import { sql } from "drizzle-orm";
import * as pg from "drizzle-orm/pg-core";
import { bytea, eventColumns, outrider, timestamp } from "./tables.ts";

/** Events that were given up, by the relay or by a handler, with all that is needed to repair. */
export const deadLetters = outrider.table(
  "dead_letters",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    origin: pg.text("origin", { enum: ["relay", "handler"] }).notNull(),
    state: pg
      .text("state", { enum: ["open", "redriven", "discarded"] })
      .notNull()
      .default("open"),
    /** Null where the relay gave up. */
    handler: pg.text("handler"),
    ...eventColumns(),
    /** Null where it never got into Kafka. */
    partition: pg.integer("partition"),
    offset: pg.bigint("offset", { mode: "number" }),
    /** The record's headers in order: pairs of name and text, or of name and `{"base64": ".."}`. */
    headers: pg.jsonb("headers").notNull(),
    payload: bytea("payload"),
    code: pg.text("code").notNull(),
    message: pg.text("message").notNull(),
    /** Equal for letters that died of the same. */
    fingerprint: pg.text("fingerprint").notNull(),
    attempts: pg.integer("attempts").notNull().default(1),
    /** Later events of its key went on without it. */
    skipped: pg.boolean("skipped").notNull().default(false),
    occurredAt: timestamp("occurred_at").notNull(),
    buriedAt: timestamp("buried_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    closedAt: timestamp("closed_at"),
    closedBy: pg.text("closed_by"),
    reason: pg.text("reason"),
    /** The event that was published in place of this one. */
    replacedBy: pg.uuid("replaced_by"),
  },
  (table) => [
    pg.unique("dead_letters_event_handler").on(table.eventId, table.handler).nullsNotDistinct(),
    pg.index("dead_letters_state").on(table.state, table.id),
    pg.index("dead_letters_fingerprint").on(table.state, table.fingerprint, table.id),
    pg.index("dead_letters_handler").on(table.state, table.handler, table.id),
    pg.index("dead_letters_topic").on(table.state, table.topic, table.id),
    pg.index("dead_letters_code").on(table.state, table.code, table.id),
    pg
      .index("dead_letters_replaced_by")
      .on(table.replacedBy)
      .where(sql`"replaced_by" is not null`),
    // Hashed for the same reason as in `parked_heads`.
    pg.index("dead_letters_key").on(sql`sha256(${table.key})`),
    pg.check("dead_letters_origin", sql`"origin" in ('relay', 'handler')`),
    pg.check("dead_letters_state", sql`"state" in ('open', 'redriven', 'discarded')`),
  ],
);

/** What has become of a dead letter, and who decided it. Rows are added only. */
export const deadLetterHistory = outrider.table(
  "dead_letter_history",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    letter: pg.bigint("letter", { mode: "bigint" }).notNull(),
    at: timestamp("at")
      .notNull()
      .default(sql`clock_timestamp()`),
    action: pg
      .text("action", { enum: ["buried", "redriven", "discarded", "restored", "noted"] })
      .notNull(),
    /** Null where nobody decided: the event was given up. */
    by: pg.text("by"),
    /** The reason of a decision, the note, or the failure. */
    message: pg.text("message").notNull(),
    /** The event that takes its place, and how its payload differs, as a unified diff. */
    replacedBy: pg.uuid("replaced_by"),
    diff: pg.text("diff"),
    /** The bulk operation that did it. */
    redrive: pg.bigint("redrive", { mode: "bigint" }),
  },
  (table) => [
    pg.index("dead_letter_history_letter").on(table.letter, table.id),
    pg.check(
      "dead_letter_history_action",
      sql`"action" in ('buried', 'redriven', 'discarded', 'restored', 'noted')`,
    ),
  ],
);

/** An operation that redrives many dead letters, one after the other. */
export const redrives = outrider.table(
  "redrives",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    state: pg
      .text("state", { enum: ["running", "paused", "done", "cancelled"] })
      .notNull()
      .default("running"),
    /** Which letters were chosen, when it was made. */
    filter: pg.jsonb("filter").notNull(),
    by: pg.text("by").notNull(),
    reason: pg.text("reason").notNull(),
    /** Most letters of a second. */
    ratePerS: pg.real("rate_per_s").notNull(),
    /** So many are redriven first; the rest when all of them have been handled. */
    canary: pg.integer("canary").notNull(),
    /** It pauses when so many are given up again. */
    failuresMax: pg.integer("failures_max").notNull(),
    total: pg.integer("total").notNull(),
    /** The item that comes next, and when. */
    position: pg.integer("position").notNull().default(1),
    nextAt: timestamp("next_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    /** All of the first ones have been handled, or somebody said to go on. */
    isProven: pg.boolean("is_proven").notNull().default(false),
    /** Those given up again that were known when somebody said to go on. */
    forgiven: pg.integer("forgiven").notNull().default(0),
    /** Why it is in its state, and who changed it; null: itself. */
    message: pg.text("message"),
    changedBy: pg.text("changed_by"),
    createdAt: timestamp("created_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    changedAt: timestamp("changed_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  () => [
    pg.check("redrives_state", sql`"state" in ('running', 'paused', 'done', 'cancelled')`),
    pg.check("redrives_rate", sql`"rate_per_s" > 0`),
  ],
);

/** A topic that a handler reads again. */
export const replays = outrider.table(
  "replays",
  {
    id: pg.bigint("id", { mode: "bigint" }).generatedAlwaysAsIdentity().primaryKey(),
    state: pg
      .text("state", { enum: ["running", "done", "cancelled"] })
      .notNull()
      .default("running"),
    handler: pg.text("handler").notNull(),
    /** The name under which the inbox knows its events: the handler's, or one of its own. */
    ranAs: pg.text("ran_as").notNull(),
    topic: pg.text("topic").notNull(),
    by: pg.text("by").notNull(),
    reason: pg.text("reason").notNull(),
    createdAt: timestamp("created_at")
      .notNull()
      .default(sql`clock_timestamp()`),
    changedAt: timestamp("changed_at")
      .notNull()
      .default(sql`clock_timestamp()`),
  },
  () => [pg.check("replays_state", sql`"state" in ('running', 'done', 'cancelled')`)],
);

/** What a replay reads of a partition: up to `until`, which is left out. */
export const replayRanges = outrider.table(
  "replay_ranges",
  {
    replay: pg.bigint("replay", { mode: "bigint" }).notNull(),
    partition: pg.integer("partition").notNull(),
    begin: pg.bigint("begin", { mode: "number" }).notNull(),
    /** Everything below it has an outcome. */
    next: pg.bigint("next", { mode: "number" }).notNull(),
    until: pg.bigint("until", { mode: "number" }).notNull(),
  },
  (table) => [pg.primaryKey({ columns: [table.replay, table.partition] })],
);

/** The letters of a redrive, in the order in which they are redriven. */
export const redriveItems = outrider.table(
  "redrive_items",
  {
    redrive: pg.bigint("redrive", { mode: "bigint" }).notNull(),
    position: pg.integer("position").notNull(),
    letter: pg.bigint("letter", { mode: "bigint" }).notNull(),
    state: pg
      .text("state", { enum: ["waiting", "redriven", "refused"] })
      .notNull()
      .default("waiting"),
    actedAt: timestamp("acted_at"),
    /** Why it was refused. */
    message: pg.text("message"),
  },
  (table) => [
    pg.primaryKey({ columns: [table.redrive, table.position] }),
    pg.check("redrive_items_state", sql`"state" in ('waiting', 'redriven', 'refused')`),
  ],
);
