/** Which dead letters a request means. */

import { fault } from "@outrider/event";
import { about, fields, named } from "@outrider/http";
import { letterStates } from "@outrider/redrive";
import type { LetterFilter } from "@outrider/redrive";
import * as v from "valibot";
import { exampleEvent } from "./forms.ts";
import { dateOf, idList, moment, name, text, uuid } from "./inputs.ts";

/** The same words in queries and bodies. Everything that is said has to hold. */
export const letterFilter = {
  state: v.optional(
    about(
      v.picklist(letterStates, `must be one of ${letterStates.join(", ")}`),
      "What has become of the letter",
    ),
  ),
  origin: v.optional(
    about(v.picklist(["relay", "handler"], "must be relay or handler"), "Who gave the event up"),
  ),
  handler: v.optional(about(name, "The handler that gave the event up", "shop.receipt")),
  topic: v.optional(about(name, "The topic of the event", "order-events")),
  code: v.optional(about(name, "The code of the failure", "internal")),
  fingerprint: v.optional(about(text(2000), "Of a group: letters that died of the same")),
  key: v.optional(about(text(10_000), "The key of the event, whole", exampleEvent)),
  eventId: v.optional(about(uuid, "The id of the event")),
  since: v.optional(about(moment, "Buried then or later, the last time")),
  until: v.optional(about(moment, "Buried before then, the last time")),
  text: v.optional(
    about(
      v.pipe(text(1000), v.nonEmpty("must not be empty")),
      "Somewhere in the payload or the message, upper and lower case as they are",
      "receipts service",
    ),
  ),
};

type Wanted = Readonly<v.InferOutput<v.StrictObjectSchema<typeof letterFilter, undefined>>>;

export const letterFilterOf = ({ since, until, ...wanted }: Wanted): LetterFilter => ({
  ...wanted,
  since: dateOf(since),
  until: dateOf(until),
});

/** Letters of a bulk action are open ones. */
const { state: _, ...ofOpen } = letterFilter;

export const selection = named(
  fields({
    ...ofOpen,
    ids: v.optional(about(idList, "The numbers of the letters", [7, 8])),
  }),
  {
    name: "LetterSelection",
    description: "Which open letters are meant. Everything that is said has to hold.",
    examples: [{ handler: "shop.receipt", code: "internal" }],
  },
);

/** In a body, beside a selection. */
export const all = about(
  v.optional(v.boolean("must be true or false")),
  "True: all of them are meant, and the filter may be empty",
);

type Chosen = Readonly<{ filter: v.InferOutput<typeof selection>; all?: boolean | undefined }>;

/** Nobody means all of them by mistake. Throws `invalid`. */
export const selectionOf = ({ filter: { ids, ...wanted }, all: isAll }: Chosen): LetterFilter => {
  const filter = { ...letterFilterOf(wanted), ids };
  if (isAll || Object.values(filter).some((value) => value !== undefined)) return filter;
  throw fault("invalid", "Say which letters are meant, or that all of them are", {
    problems: [{ pointer: "/filter", detail: "is empty, and all is not true" }],
  });
};
