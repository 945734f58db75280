/**
 * What the attributes of an event may be: what the columns of Postgres, the headers of Kafka and
 * every reader carry without changing it.
 */

import * as v from "valibot";
import { categories } from "./envelope.ts";
import type { Envelope } from "./envelope.ts";
import { fault } from "./fault.ts";
import { problemsOf } from "./problems.ts";

/** Longest attribute, in bytes of UTF-8. A key may be as long as its topic takes. */
const attributeBytesMax = 255;

/** Largest value of the columns of versions. */
export const versionMax = 2_147_483_647;

/** Half of a surrogate pair has no UTF-8: it would become another character. */
const wellFormed = v.check<string, string>(
  (text) => text.isWellFormed(),
  "has half of a surrogate pair",
);

/** May be empty, which is the same as absent. */
const attribute = v.pipe(
  v.string("must be a text"),
  v.maxBytes(attributeBytesMax, `must have at most ${attributeBytesMax} bytes of UTF-8`),
  v.check((text) => !text.includes("\0"), "has the character U+0000, which Postgres does not keep"),
  wellFormed,
);

const name = v.pipe(attribute, v.nonEmpty("must not be empty"));

const versionMessage = `must be a whole number from 1 to ${versionMax}`;
const version = v.pipe(
  v.number(versionMessage),
  v.integer(versionMessage),
  v.minValue(1, versionMessage),
  v.maxValue(versionMax, versionMessage),
);

const sequenceMessage = `must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`;
const sequence = v.pipe(
  v.number(sequenceMessage),
  v.safeInteger(sequenceMessage),
  v.minValue(0, sequenceMessage),
);

const defined = {
  type: name,
  version,
  source: name,
  category: v.picklist(categories, `must be one of ${categories.join(", ")}`),
};

const definition = v.object(defined);

const envelope = v.object({
  ...defined,
  id: v.pipe(
    v.string("must be a UUID"),
    v.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, "must be a UUID"),
  ),
  key: v.pipe(v.string("must be a text"), v.nonEmpty("must not be empty"), wellFormed),
  headers: v.object({
    traceparent: v.optional(attribute),
    correlationId: v.optional(attribute),
    causationId: v.optional(attribute),
    tenant: v.optional(attribute),
  }),
  sequence: v.optional(sequence),
});

const check = (schema: v.GenericSchema, value: unknown, what: string): void => {
  const { success, issues } = v.safeParse(schema, value);
  if (success) return;
  const problems = problemsOf(issues);
  const list = problems.map(({ pointer, detail }) => `${pointer} ${detail}`).join(", ");
  throw fault("event_invalid", `Not a valid ${what}: ${list}`, { problems });
};

/** Throws `event_invalid` with a pointer for each attribute that is none. Data is not looked at. */
export const assertEnvelope = (event: Envelope): void => check(envelope, event, "envelope");

/** The same for what all events of a definition have in common. */
export const assertDefinition = (
  spec: Pick<Envelope, "type" | "version" | "source" | "category">,
): void => check(definition, spec, "definition of an event");

/** Whether a text may be passed on from one event to the next. */
export const isAttribute = (text: string): boolean => v.is(attribute, text);
