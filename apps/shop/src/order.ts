/** An order: what may be ordered, and how the write side shows it. Money is in minor units. */

import { about, fields, named } from "@outrider/http";
import * as v from "valibot";
import type { orders } from "./tables.ts";

/** As JSON Schema says it, whose readers know no classes of characters. */
// oxlint-disable-next-line no-control-regex -- those that Unicode calls so
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
export const customerId = about(
  v.pipe(
    v.string("must be a text"),
    v.regex(/^[A-Za-z0-9._:-]{1,64}$/, "must be 1 to 64 of A-Z, a-z, 0-9, '.', '_', ':' and '-'"),
  ),
  "The customer, as the system that keeps customers names it",
  "ada",
);

export const reason = text(500);

const currency = about(
  v.pipe(
    v.string("must be a text"),
    v.regex(/^[A-Z]{3}$/, "must be an ISO 4217 code: three capitals"),
  ),
  "The currency of all amounts, as ISO 4217 has it",
  "EUR",
);

const line = named(
  fields({
    sku: about(text(64), "What is ordered", "tea-1"),
    quantity: about(integer(1, 10_000), "How many of it", 2),
    unitPriceMinor: about(integer(0, 1_000_000_000), "The price of one, in minor units", 450),
  }),
  { name: "OrderLine", description: "So many of one thing." },
);

const linesMessage = "must be a list of 1 to 100 lines";

const exampleOrder = {
  customerId: "ada",
  currency: "EUR",
  lines: [{ sku: "tea-1", quantity: 2, unitPriceMinor: 450 }],
};

/** With these limits a total is at most 1e15, which is a safe integer. */
export const newOrder = named(
  fields({
    customerId,
    currency,
    lines: about(
      v.pipe(
        v.array(line, linesMessage),
        v.minLength(1, linesMessage),
        v.maxLength(100, linesMessage),
      ),
      "What is ordered, in the customer's order",
    ),
  }),
  {
    name: "NewOrder",
    description: "An order to be placed.",
    examples: [exampleOrder],
  },
);

export type NewOrder = v.InferOutput<typeof newOrder>;

export const totalOf = (lines: NewOrder["lines"]): number =>
  lines.reduce((sum, { quantity, unitPriceMinor }) => sum + quantity * unitPriceMinor, 0);

export const cancellation = named(
  fields({ reason: about(reason, "Why, in the customer's words", "ordered twice") }),
  {
    name: "Cancellation",
    description: "Why an order is cancelled.",
    examples: [{ reason: "ordered twice" }],
  },
);

const time = v.pipe(v.string(), v.isoTimestamp());
export const whole = v.pipe(v.number(), v.integer());
export const exampleOrderId = "01890a5d-ac96-774b-bcce-b302099a8057";
export const idForm = about(v.pipe(v.string(), v.uuid()), "The order", exampleOrderId);

/** What an order and its summary have in common. */
export const orderFields = {
  customerId: about(v.string(), "The customer, as the system that keeps customers names it"),
  status: about(v.picklist(["placed", "cancelled"]), "What has become of it"),
  currency: about(v.string(), "The currency of all amounts, as ISO 4217 has it"),
  totalMinor: about(whole, "What all lines cost, in minor units"),
  version: about(whole, "1 when it is placed, one more with each change"),
  placedAt: about(time, "When it was placed"),
  cancelledAt: about(v.optional(time), "When it was cancelled, if it was"),
  cancelReason: about(v.optional(v.string()), "Why it was cancelled, if it was"),
};

export const exampleFields = {
  customerId: "ada",
  status: "placed",
  currency: "EUR",
  totalMinor: 900,
  version: 1,
  placedAt: "2026-01-31T12:00:00.000Z",
} as const;

/** What a caller gets. */
export const order = named(
  v.object({ id: idForm, ...orderFields, lines: about(v.array(line), "What was ordered") }),
  {
    name: "Order",
    description: "An order as it was last written.",
    examples: [{ id: exampleOrderId, ...exampleFields, lines: exampleOrder.lines }],
  },
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
