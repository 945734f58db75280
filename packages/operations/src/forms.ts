/** Forms that answers have in common, for the OpenAPI document. */

import { entities } from "@outrider/health";
import { about, named, nameOf } from "@outrider/http";
import * as v from "valibot";

export const exampleTime = "2026-01-31T12:00:00.000Z";
export const exampleEvent = "01890a5d-ac96-774b-bcce-b302099a8057";

export const when = v.pipe(v.string(), v.isoTimestamp(), v.examples([exampleTime]));
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));
export const id = v.pipe(v.number(), v.integer(), v.minValue(1));
export const uuidForm = v.pipe(v.string(), v.uuid(), v.examples([exampleEvent]));
const bytes = about(v.string(), "The bytes in base64", "/wA=");
/** Pairs of name and text, or of name and bytes that are no text. */
export const headerPairs = about(
  v.array(v.pipe(v.array(v.union([v.string(), v.strictObject({ base64: bytes })])), v.length(2))),
  "Pairs of a name and a text, or of a name and bytes that are no text",
  [["ce_type", "order.order.created"]],
);

/** An answer, or a part of one, with a name of its own in the document. */
export const form = <const E extends v.ObjectEntries>(
  name: string,
  description: string,
  entries: E,
) => named(v.strictObject(entries), { name, description });

/** All there are, without pages. */
export const listOf = <const S extends v.GenericSchema>(item: S, description: string) =>
  form(`${nameOf(item)}List`, description, { items: about(v.array(item), description) });

/** Something was begun: it can be followed at `Location`. */
export const acceptedForm = form("Accepted", "Something was begun that can be followed.", {
  id: about(id, "Its number", 7),
  url: about(v.string(), "Its path, as in Location", "/v1/operations/7"),
});
export const doneForm = form("Done", "It is done.", {
  id: about(id, "The number of what it was done to", 7),
});

const finding = form("Finding", "Something that is not well, and what to do about it.", {
  entity: about(v.picklist(entities), "What kind of thing it is"),
  name: about(v.string(), "Which one, or which ones", "order-events"),
  rule: about(v.string(), "The rule that is broken", "topic_refused"),
  reason: about(v.string(), "What is wrong, in words", "Kafka refuses order-events"),
  next: about(v.string(), "What to do, or where to look", "see `outrider topics plan`"),
});

export const findings = about(v.array(finding), "What is not well; none: all is well");
