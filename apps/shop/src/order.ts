/** An order: what may be ordered, and how the write side shows it. Money is in minor units. */

import { fields } from "@outrider/http";
import * as v from "valibot";
import type { orders } from "./tables.ts";

// oxlint-disable-next-line no-control-regex -- those that Unicode calls so, as JSON Schema says it
const noControls = /^[^\u0000-\u001f\u007f-\u009f]*$/;

/** Text that Postgres can store and people can read: no control characters. */
const text = (max: number) =>
  v.pipe(
    v.string("must be a text"),
    v.minLength(1, "must not be empty"),
    v.maxLength(max, `must have at most ${max} characters`),
    v.regex(noControls, "must not have control characters"),
  );

/** A JSON number, not its digits in a text. */
const integer = (from: number, to: number) => {
  const message = `must be a whole number from ${from} to ${to}`;
  return v.pipe(
    v.number(message),
    v.integer(message),
    v.minValue(from, message),
    v.maxValue(to, message),
  );
};

/** Customers are another system's: their ids are names to us, which also stand in paths. */
export const customerId = v.pipe(
  v.string("must be a text"),
  v.regex(/^[A-Za-z0-9._:-]{1,64}$/, "must be 1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'"),
);

export const reason = text(500);

const line = fields({
  sku: text(64),
  quantity: integer(1, 10_000),
  unitPriceMinor: integer(0, 1_000_000_000),
});

const linesMessage = "must be a list of 1 to 100 lines";

/** With these limits a total is at most 1e15, which is a safe integer. */
export const newOrder = fields({
  customerId,
  currency: v.pipe(
    v.string("must be a text"),
    v.regex(/^[A-Z]{3}$/, "must be an ISO 4217 code: three capitals"),
  ),
  lines: v.pipe(
    v.array(line, linesMessage),
    v.minLength(1, linesMessage),
    v.maxLength(100, linesMessage),
  ),
});

export type NewOrder = v.InferOutput<typeof newOrder>;

export const totalOf = (lines: NewOrder["lines"]): number =>
  lines.reduce((sum, { quantity, unitPriceMinor }) => sum + quantity * unitPriceMinor, 0);

export const time = v.pipe(v.string(), v.isoTimestamp());
export const whole = v.pipe(v.number(), v.integer());
export const status = v.picklist(["placed", "cancelled"]);

/** What a caller gets. */
export const order = v.pipe(
  v.object({
    id: v.pipe(v.string(), v.uuid()),
    customerId: v.string(),
    status,
    currency: v.string(),
    lines: v.array(line),
    totalMinor: whole,
    version: whole,
    placedAt: time,
    cancelledAt: v.optional(time),
    cancelReason: v.optional(v.string()),
  }),
  v.metadata({ ref: "Order" }),
);

export type Order = v.InferOutput<typeof order>;

export const orderOf = (row: typeof orders.$inferSelect): Order => ({
  id: row.id,
  customerId: row.customerId,
  status: row.status,
  currency: row.currency,
  lines: [...row.lines],
  totalMinor: row.totalMinor,
  version: row.version,
  placedAt: row.placedAt.toISOString(),
  ...(row.cancelledAt && { cancelledAt: row.cancelledAt.toISOString() }),
  ...(row.cancelReason !== null && { cancelReason: row.cancelReason }),
});
