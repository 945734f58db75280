/** Which dead letters a request means. */

import { fault } from "@outrider/event";
import { fields } from "@outrider/http";
import { letterStates } from "@outrider/redrive";
import type { LetterFilter } from "@outrider/redrive";
import * as v from "valibot";
import { dateOf, idList, moment, name, text, uuid } from "./inputs.ts";

/** The same words in queries and bodies. Everything that is said has to hold. */
export const letterFilter = {
  state: v.optional(v.picklist(letterStates, `must be one of ${letterStates.join(", ")}`)),
  origin: v.optional(v.picklist(["relay", "handler"], "must be relay or handler")),
  handler: v.optional(name),
  topic: v.optional(name),
  code: v.optional(name),
  /** Of a group: letters that died of the same. */
  fingerprint: v.optional(text(2000)),
  key: v.optional(text(10_000)),
  eventId: v.optional(uuid),
  /** When they were buried, the last time. */
  since: v.optional(moment),
  until: v.optional(moment),
  /** Somewhere in the payload or the message. */
  text: v.optional(v.pipe(text(1000), v.nonEmpty("must not be empty"))),
};

type Wanted = Readonly<v.InferOutput<v.StrictObjectSchema<typeof letterFilter, undefined>>>;

export const letterFilterOf = ({ since, until, ...wanted }: Wanted): LetterFilter => ({
  ...wanted,
  since: dateOf(since),
  until: dateOf(until),
});

/** Letters of a bulk action are open ones. */
const { state: _, ...ofOpen } = letterFilter;

export const selection = fields({ ...ofOpen, ids: v.optional(idList) });

type Chosen = Readonly<{ filter: v.InferOutput<typeof selection>; all?: boolean | undefined }>;

/** Nobody means all of them by mistake. Throws `invalid`. */
export const selectionOf = ({ filter: { ids, ...wanted }, all }: Chosen): LetterFilter => {
  const filter = { ...letterFilterOf(wanted), ids };
  if (all || Object.values(filter).some((value) => value !== undefined)) return filter;
  throw fault("invalid", "Say which letters are meant, or that all of them are", {
    problems: [{ pointer: "/filter", detail: "is empty, and all is not true" }],
  });
};
