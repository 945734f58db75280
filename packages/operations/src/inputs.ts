/** What requests may say: paths, queries and bodies. Queries are text. */

import { fault } from "@outrider/event";
import { about, fields, query } from "@outrider/http";
import { validator } from "hono-openapi";
import * as v from "valibot";
import { exampleEvent, exampleTime } from "./forms.ts";

// oxlint-disable-next-line no-control-regex -- so that the OpenAPI document says it
const noZero = /^[^\u0000]*$/;

/** Postgres has no text with a zero in it, and none with half a character. */
export const text = (lengthMax: number) =>
  v.pipe(
    v.string("must be a text"),
    v.maxLength(lengthMax, `has at most ${lengthMax} characters`),
    v.regex(noZero, "has characters of no text"),
    v.check((value) => value.isWellFormed(), "has characters of no text"),
  );

export const name = v.pipe(text(255), v.nonEmpty("must not be empty"));
export const reason = about(
  v.pipe(text(1000), v.nonEmpty("must not be empty")),
  "Why, for the audit and the history",
  "the receipts service is back",
);

export const uuid = v.pipe(
  v.string("must be a UUID"),
  v.regex(/^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/, "must be a UUID"),
  v.examples([exampleEvent]),
);

const partitionMessage = "must be the number of a partition";

/** What a column of partitions takes. */
export const partitionNumber = v.pipe(
  v.number(partitionMessage),
  v.integer(partitionMessage),
  v.minValue(0, partitionMessage),
  v.maxValue(2 ** 31 - 1, partitionMessage),
);

export const offsetNumber = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const momentMessage = "must be a time such as 2026-01-31T12:00:00Z";
const year = String.raw`(197[1-9]|19[89]\d|2\d{3})`;
const day = String.raw`((0[1-9]|1[0-2])-(0[1-9]|[12]\d)|(0[13-9]|1[0-2])-30|(0[13578]|1[02])-31)`;
const minute = String.raw`([01]\d|2[0-3]):[0-5]\d`;
const second = String.raw`:[0-5]\d(\.\d{1,6})?`;

/** ISO 8601, from 1971 on: to Kafka, a time before 1970 is another question. */
export const moment = v.pipe(
  v.string(momentMessage),
  v.regex(new RegExp(`^${year}-${day}T${minute}(${second})?(Z|[+-]${minute})$`), momentMessage),
  v.check((value) => hasItsDay(value), "is a day that there is not"),
  v.examples([exampleTime]),
);

/** Date takes 29 February for 1 March where there is none. */
const hasItsDay = (value: string): boolean => {
  const [date = ""] = value.split("T");
  const ms = Date.parse(date);
  return Number.isNaN(ms) || new Date(ms).toISOString().startsWith(date);
};

export const dateOf = (value: string | undefined): Date | undefined =>
  value === undefined ? undefined : new Date(value);

const digits = /^[1-9]\d{0,14}$/;

const limitDefault = 50;
export const limitText = v.pipe(
  v.string(),
  v.regex(/^([1-9]\d{0,2}|1000)$/, "must be a whole number from 1 to 1000"),
);

export const limitOf = (limit: string | undefined): number => Number(limit ?? limitDefault);

const idsMax = 10_000;

export const idList = v.pipe(
  v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(1)), "must be a list of ids"),
  v.maxLength(idsMax, `are at most ${idsMax}`),
);

/** Room for two names of the longest, as JSON in base64. */
const cursorCharsMax = 1000;

/** As a page gives one: a position in base64url. */
export const exampleCursor = "WzQxXQ";

/** How much of a list, and where it goes on. */
export const paging = {
  limit: about(
    v.optional(limitText),
    `How many entries at most, from 1 to 1000; ${limitDefault} where it is not said`,
  ),
  cursor: about(
    v.optional(v.pipe(text(cursorCharsMax), v.metadata({ pattern: "^[A-Za-z0-9_-]*$" }))),
    "The `next` of the page before; without it the list begins",
  ),
};

/** The query of a list. What is not known is refused: a misspelt filter would find too much. */
export const listQuery = <const E extends v.ObjectEntries>(entries: E) =>
  query(fields({ ...entries, ...paging }));

/** The id of a path; what can be none is the id of nothing. */
export const idParam = (what: string) => {
  const number = about(v.pipe(v.string(), v.regex(digits)), `The number of the ${what}`, "7");
  return validator("param", v.object({ id: number }), (result) => {
    if (!result.success) throw fault("not_found", `There is no such ${what}`);
  });
};

export const uuidParam = (what: string) =>
  validator("param", v.object({ id: about(uuid, `The id of the ${what}`) }), (result) => {
    if (!result.success) throw fault("not_found", `There is no such ${what}`);
  });

export const nameParam = (what: string, example: string) =>
  validator(
    "param",
    v.object({ name: about(name, `The name of the ${what}`, example) }),
    (result) => {
      if (!result.success) throw fault("not_found", `There is no such ${what}`);
    },
  );
