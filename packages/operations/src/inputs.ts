/** What requests may say: paths, queries and bodies. Queries are text. */

import { fault } from "@outrider/event";
import { fields, query } from "@outrider/http";
import { validator } from "hono-openapi";
import * as v from "valibot";

/** Postgres has no text with a zero in it, and none with half a character. */
export const text = (lengthMax: number) =>
  v.pipe(
    v.string("must be a text"),
    v.maxLength(lengthMax, `has at most ${lengthMax} characters`),
    v.check((value) => !value.includes("\0") && value.isWellFormed(), "has characters of no text"),
  );

export const name = v.pipe(text(255), v.nonEmpty("must not be empty"));
export const reason = v.pipe(text(1000), v.nonEmpty("must not be empty"));

export const uuid = v.pipe(
  v.string("must be a UUID"),
  v.regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i, "must be a UUID"),
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

/** ISO 8601, from 1970 on: to Kafka, a time before that is another question. */
export const moment = v.pipe(
  v.string("must be a time such as 2026-01-31T12:00:00Z"),
  v.regex(
    /^(19[7-9]|2\d{2})\d-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$/,
    "must be a time such as 2026-01-31T12:00:00Z",
  ),
  v.check((value) => Date.parse(value) >= 0 && isRealDay(value), "is a time that there is not"),
);

/** Date takes 30 February for 2 March. */
const isRealDay = (value: string): boolean => {
  const day = value.slice(0, "2026-01-31".length);
  return new Date(day).toISOString().startsWith(day);
};

export const dateOf = (value: string | undefined): Date | undefined =>
  value === undefined ? undefined : new Date(value);

const digits = /^[1-9]\d{0,14}$/;

const limitDefault = 50;
const limitText = v.pipe(
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
const cursorCharsMax = 4000;

/** How much of a list, and where it goes on. */
export const paging = { limit: v.optional(limitText), cursor: v.optional(text(cursorCharsMax)) };

/** The query of a list. What is not known is refused: a misspelt filter would find too much. */
export const listQuery = <const E extends v.ObjectEntries>(entries: E) =>
  query(fields({ ...entries, ...paging }));

/** The id of a path; what can be none is the id of nothing. */
export const idParam = (what: string) =>
  validator("param", v.object({ id: v.pipe(v.string(), v.regex(digits)) }), (result) => {
    if (!result.success) throw fault("not_found", `There is no such ${what}`);
  });

export const uuidParam = (what: string) =>
  validator("param", v.object({ id: uuid }), (result) => {
    if (!result.success) throw fault("not_found", `There is no such ${what}`);
  });

export const nameParam = (what: string) =>
  validator("param", v.object({ name }), (result) => {
    if (!result.success) throw fault("not_found", `There is no such ${what}`);
  });
