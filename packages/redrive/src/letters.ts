/** Dead letters as an operator sees them: searched, grouped, whole, and as a file. */

import { fault } from "@outrider/event";
import type { HeaderPair, Sql, TransactionSql } from "@outrider/postgres";
import { matches } from "./filter.ts";
import type { LetterFilter, LetterState } from "./filter.ts";

export type LetterSummary = Readonly<{
  id: number;
  state: LetterState;
  /** Who gave up; null: the relay. */
  handler: string | null;
  topic: string;
  /** As text; what is no UTF-8 is replaced. */
  key: string;
  eventId: string;
  type: string | null;
  code: string;
  message: string;
  attempts: number;
  /** Later events of its key went on without it. */
  skipped: boolean;
  buriedAt: Date;
}>;

export type HistoryEntry = Readonly<{
  at: Date;
  action: "buried" | "redriven" | "discarded" | "restored" | "noted";
  by: string | null;
  message: string;
  replacedBy: string | null;
  diff: string | null;
  redrive: number | null;
}>;

export type Letter = LetterSummary &
  Readonly<{
    version: number | null;
    sequence: number | null;
    /** In its log; null where it never got into Kafka. */
    partition: number | null;
    offset: number | null;
    fingerprint: string;
    headers: readonly HeaderPair[];
    payload: Uint8Array;
    occurredAt: Date;
    closedAt: Date | null;
    closedBy: string | null;
    reason: string | null;
    replacedBy: string | null;
  }>;

export type WholeLetter = Letter &
  Readonly<{
    /** Events of its key that wait behind it, counted up to `waitingCountMax`. */
    waiting: number;
    /** The oldest first. */
    history: readonly HistoryEntry[];
  }>;

export const waitingCountMax = 100_000;

export type Page = Readonly<{
  limit: number;
  /** Only letters with a lower id: the next page. */
  before?: number | undefined;
}>;

type SummaryRow = Omit<LetterSummary, "id" | "key"> & { id: string; key: Buffer };
type LetterRow = SummaryRow & Omit<Letter, keyof LetterSummary>;

const summaryColumns = (sql: Sql | TransactionSql) => sql`
  letter.id, letter.state, letter.handler, letter.topic, letter.key, letter.event_id as "eventId",
  letter.type, letter.code, letter.message, letter.attempts, letter.skipped,
  letter.buried_at as "buriedAt"`;

const letterColumns = (sql: Sql | TransactionSql) => sql`
  ${summaryColumns(sql)}, letter.version, letter.sequence::float8, letter.partition,
  letter."offset"::float8, letter.fingerprint, letter.headers,
  coalesce(letter.payload, '') as payload, letter.occurred_at as "occurredAt",
  letter.closed_at as "closedAt", letter.closed_by as "closedBy", letter.reason,
  letter.replaced_by as "replacedBy"`;

const shown = <R extends { id: string; key: Buffer }>({ id, key, ...row }: R) => ({
  ...row,
  id: Number(id),
  key: key.toString("utf8"),
});

/** The newest first. */
export const searchLetters = async (
  sql: Sql,
  filter: LetterFilter,
  { limit, before }: Page,
): Promise<LetterSummary[]> => {
  const rows = await sql<SummaryRow[]>`
    select ${summaryColumns(sql)} from outrider.dead_letters letter
    where ${matches(sql, filter)} ${before ? sql`and letter.id < ${before}` : sql``}
    order by letter.id desc
    limit ${limit}`;
  return rows.map(shown);
};

export type LetterGroup = Readonly<{
  fingerprint: string;
  count: number;
  /** The newest of them, as an example. */
  newest: LetterSummary;
}>;

/** Letters that died of the same, the largest group first. */
export const groupLetters = async (
  sql: Sql,
  filter: LetterFilter,
  limit: number,
): Promise<LetterGroup[]> => {
  const rows = await sql<(SummaryRow & { fingerprint: string; count: number })[]>`
    select of_group.fingerprint, of_group.count, ${summaryColumns(sql)}
    from (
      select letter.fingerprint, count(*)::int as count, max(letter.id) as newest
      from outrider.dead_letters letter where ${matches(sql, filter)}
      group by letter.fingerprint
      order by count(*) desc, letter.fingerprint
      limit ${limit}
    ) as of_group
    join outrider.dead_letters letter on letter.id = of_group.newest
    order by of_group.count desc, of_group.fingerprint`;
  return rows.map(({ fingerprint, count, ...row }) => ({
    fingerprint,
    count,
    newest: shown(row),
  }));
};

/** Throws `not_found`. */
export const readLetter = async (sql: Sql | TransactionSql, id: number): Promise<WholeLetter> => {
  const [row] = await sql<(LetterRow & { waiting: number })[]>`
    select ${letterColumns(sql)},
      (
        select count(*)::int from (
          select from outrider.blocked b join outrider.outbox_held h on h.block = b.id
          where b.letter_id = letter.id and h.id <> b.head_id
          union all
          select from outrider.parked dead join outrider.parked p on p.head = dead.head
          where dead.handler = letter.handler and dead.event_id = letter.event_id
            and p.id <> dead.id
          limit ${waitingCountMax}
        ) as behind
      ) as waiting
    from outrider.dead_letters letter
    where id = ${id}`;
  if (!row) throw fault("not_found", `There is no dead letter ${id}`);
  const history = await sql<HistoryEntry[]>`
    select at, action, by, message, replaced_by as "replacedBy", diff, redrive::float8
    from outrider.dead_letter_history where letter = ${id} order by id`;
  return { ...shown(row), history: [...history] };
};

/** Most letters of one read, and most bytes of their payloads; a single one may have more. */
const exportRows = 500;
const exportBytes = 4 * 1024 * 1024;

/** All of them, the oldest first, as they are when they are read. */
export async function* exportLetters(sql: Sql, filter: LetterFilter): AsyncGenerator<Letter> {
  for (let after = 0; ;) {
    const rows = await sql<LetterRow[]>`
      select ${letterColumns(sql)}
      from (
        select letter.id, sum(octet_length(letter.payload)) over (order by letter.id)
          - octet_length(letter.payload) as bytes_before
        from outrider.dead_letters letter
        where ${matches(sql, filter)} and letter.id > ${after}
        order by letter.id
        limit ${exportRows}
      ) as page
      join outrider.dead_letters letter using (id)
      where coalesce(page.bytes_before, 0) < ${exportBytes}
      order by letter.id`;
    yield* rows.map(shown);
    const last = rows.at(-1);
    if (!last) return;
    after = Number(last.id);
  }
}
