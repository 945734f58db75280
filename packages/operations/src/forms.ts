/** Forms that answers have in common, for the OpenAPI document. */

import { entities } from "@outrider/health";
import * as v from "valibot";

export const when = v.pipe(v.string(), v.isoTimestamp());
export const count = v.pipe(v.number(), v.integer(), v.minValue(0));
export const id = v.pipe(v.number(), v.integer(), v.minValue(1));
export const uuidForm = v.pipe(v.string(), v.uuid());
/** Pairs of name and text, or of name and bytes that are no text. */
export const headerPairs = v.array(
  v.pipe(v.array(v.union([v.string(), v.strictObject({ base64: v.string() })])), v.length(2)),
);
/** Something was begun: it can be followed at `Location`. */
export const acceptedForm = v.strictObject({ id, url: v.string() });
export const doneForm = v.strictObject({ id });

/** What is not well. */
export const findings = v.array(
  v.strictObject({
    entity: v.picklist(entities),
    name: v.string(),
    rule: v.string(),
    reason: v.string(),
    next: v.string(),
  }),
);
