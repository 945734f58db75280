/** What a redrive of many letters would do, before it is done. Nothing is changed. */

import type { Sql } from "@outrider/postgres";
import { matches } from "./filter.ts";
import type { LetterFilter } from "./filter.ts";
import { exportLetters } from "./letters.ts";
import type { Letter } from "./letters.ts";

export type PreviewGroup = Readonly<{
  /** Null: the relay's. */
  handler: string | null;
  topic: string;
  code: string;
  letters: number;
}>;

export type Preview = Readonly<{
  /** Open ones that match. */
  letters: number;
  keys: number;
  groups: readonly PreviewGroup[];
  /** Their keys have gone on: redriven they come after later events of their keys. */
  outOfOrder: Readonly<{ letters: number; keys: number }>;
  /** Their events have been handled meanwhile: redriving them changes nothing. */
  handled: number;
  /** Events behind them that are released with them, counted up to `waitingMax`. */
  waiting: number;
  /** Those that would fail again, since they cannot be read; the first ones say why. */
  undecodable: Readonly<{ letters: number; examples: readonly Undecodable[] }>;
}>;

export type Undecodable = Readonly<{ id: number; why: string }>;

/** Undefined when the letter's event can be read, else why not. */
export type Decodes = (letter: Letter) => string | undefined;

const groupsMax = 50;
const waitingMax = 1_000_000;
const examplesMax = 5;

/** Each part is one look: the letters may change meanwhile, and what is created later says so. */
export const previewRedrive = async (
  sql: Sql,
  filter: LetterFilter,
  decodes: Decodes,
): Promise<Preview> => {
  const open = { ...filter, state: "open" } as const;
  const [counts, groups, undecodable] = await Promise.all([
    readCounts(sql, open),
    readGroups(sql, open),
    countUndecodable(sql, open, decodes),
  ]);
  const { letters, keys, lateLetters, lateKeys, handled, waiting } = counts;
  return {
    ...{ letters, keys, groups, handled, waiting, undecodable },
    outOfOrder: { letters: lateLetters, keys: lateKeys },
  };
};

const readCounts = async (sql: Sql, filter: LetterFilter): Promise<Counts> => {
  const [counts] = await sql<Counts[]>`
    with chosen as (
      select letter.id, letter.handler, letter.topic, letter.key, letter.event_id, p.head,
        case when letter.origin = 'relay' then letter.skipped else p.head is null end as is_late
      from outrider.dead_letters letter
      left join outrider.parked p
        on p.handler = letter.handler and p.event_id = letter.event_id
      where ${matches(sql, filter)}
    )
    select count(*)::int as letters,
      count(distinct (handler, topic, sha256(key)))::int as keys,
      count(*) filter (where is_late)::int as "lateLetters",
      count(distinct (handler, topic, sha256(key))) filter (where is_late)::int as "lateKeys",
      (
        -- One look for each letter: the inbox is never read whole.
        select count(*)::int from chosen c
        cross join lateral (
          select from outrider.inbox i
          where i.handler = c.handler and i.event_id = c.event_id and i.state = 'handled' limit 1
        ) as once
      ) as handled,
      (
        select count(*)::int from (
          select from chosen c join outrider.parked p on p.head = c.head
          where p.event_id <> c.event_id
          union all
          select from chosen c
          join outrider.blocked b on b.letter_id = c.id
          join outrider.outbox_held h on h.block = b.id and h.id <> b.head_id
          limit ${waitingMax}
        ) as behind
      ) as waiting
    from chosen`;
  if (!counts) throw new Error("no row");
  return counts;
};

const readGroups = async (sql: Sql, filter: LetterFilter): Promise<PreviewGroup[]> => [
  ...(await sql<PreviewGroup[]>`
    select letter.handler, letter.topic, letter.code, count(*)::int as letters
    from outrider.dead_letters letter where ${matches(sql, filter)}
    group by letter.handler, letter.topic, letter.code
    order by count(*) desc, letter.handler, letter.topic, letter.code
    limit ${groupsMax}`),
];

type Counts = Readonly<{
  letters: number;
  keys: number;
  lateLetters: number;
  lateKeys: number;
  handled: number;
  waiting: number;
}>;

const countUndecodable = async (
  sql: Sql,
  filter: LetterFilter,
  decodes: Decodes,
): Promise<Preview["undecodable"]> => {
  let letters = 0;
  const examples: Undecodable[] = [];
  for await (const letter of exportLetters(sql, filter)) {
    const why = decodes(letter);
    if (why === undefined) continue;
    letters += 1;
    if (examples.length < examplesMax) examples.push({ id: letter.id, why });
  }
  return { letters, examples };
};
