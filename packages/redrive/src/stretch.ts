/**
 * A search for a text reads letters whole, for no index knows what is in them. So one look goes
 * through a stretch of them, the newest first, and says where it has ended.
 */

import type { Sql } from "@outrider/postgres";
import { matches } from "./filter.ts";
import type { LetterFilter } from "./filter.ts";
import { groupLetters, searchLetters } from "./letters.ts";
import type { LetterGroup, LetterSummary, Page } from "./letters.ts";

/** Of one stretch. Each of the two takes some 30 ms on a small machine. */
export const stretchMax = { letters: 20_000, bytes: 16 * 1024 * 1024 } as const;

type Stretch = Readonly<{
  /** The last letter of it. */
  idMin: number;
  /** There are no others before it. */
  isWhole: boolean;
}>;

/** The sizes of payloads are known without reading them. */
const findStretch = async (
  sql: Sql,
  filter: LetterFilter,
  before: number | undefined,
): Promise<Stretch> => {
  const [row] = await sql<{ read: number; looked: number; idMin: number | null }[]>`
    select count(*)::int as read,
      count(*) filter (where before < ${stretchMax.bytes})::int as looked,
      (min(id) filter (where before < ${stretchMax.bytes}))::float8 as "idMin"
    from (
      select letter.id,
        coalesce(sum(octet_length(letter.message) + coalesce(octet_length(letter.payload), 0))
          over (order by letter.id desc rows between unbounded preceding and 1 preceding), 0)
          as before
      from outrider.dead_letters letter
      where ${matches(sql, { ...filter, text: undefined })}
        ${before === undefined ? sql`` : sql`and letter.id < ${before}`}
      order by letter.id desc
      limit ${stretchMax.letters}
    ) as newest`;
  const { read = 0, looked = 0, idMin } = row ?? {};
  return { idMin: idMin ?? 0, isWhole: looked === read && read < stretchMax.letters };
};

export type FoundLetters = Readonly<{
  letters: readonly LetterSummary[];
  /** Only letters with a lower id have not been looked at; undefined: all that match are here. */
  rest: number | undefined;
}>;

/** A page of letters, the newest first. With a text it may be short, or empty, before the end. */
export const searchStretch = async (
  sql: Sql,
  filter: LetterFilter,
  page: Page,
): Promise<FoundLetters> => {
  if (filter.text === undefined) {
    return { letters: await searchLetters(sql, filter, page), rest: undefined };
  }
  const { idMin, isWhole } = await findStretch(sql, filter, page.before);
  const letters = await searchLetters(sql, { ...filter, idMin }, page);
  return { letters, rest: isWhole ? undefined : idMin };
};

export type FoundGroups = Readonly<{
  groups: readonly LetterGroup[];
  /** False: with a text, only the newest letters were looked at. */
  isWhole: boolean;
}>;

/** Letters that died of the same, the largest group first. */
export const groupStretch = async (
  sql: Sql,
  filter: LetterFilter,
  limit: number,
): Promise<FoundGroups> => {
  if (filter.text === undefined) {
    return { groups: await groupLetters(sql, filter, limit), isWhole: true };
  }
  const { idMin, isWhole } = await findStretch(sql, filter, undefined);
  return { groups: await groupLetters(sql, { ...filter, idMin }, limit), isWhole };
};
