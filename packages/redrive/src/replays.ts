/** Topics that a handler reads again: what would be read, what was begun, and how far it is. */

import { fault } from "@outrider/event";
import type { LogIdentity } from "@outrider/event";
import { isOfLog, readWatermarks } from "@outrider/inbox";
import type { Sql, TransactionSql } from "@outrider/postgres";
import type { Page } from "./letters.ts";

export type ReplayWish = Readonly<{
  handler: string;
  /** Of the handler: only what this group has read is read again. */
  group: string;
  topic: string;
  /** Runs everything, under a name of its own; otherwise only what the inbox does not know. */
  again: boolean;
}>;

/** Where a partition begins and ends in Kafka, and from where it is to be read. */
export type Offered = LogIdentity &
  Readonly<{ partition: number; low: number; high: number; begin: number }>;

export type PlannedRange = Readonly<{ partition: number; begin: number; until: number }>;

export type ReplayPlan = Readonly<{
  ranges: readonly PlannedRange[];
  /** In them. Those of other types are passed over. */
  records: number;
  /** Events of them that have an outcome, and will not be run. */
  known: number;
  /** Partitions that the group has not read: nothing is read of them. */
  unread: readonly number[];
}>;

/**
 * Nothing is changed. Above the group's watermark its own readers are at work. Throws `conflict`
 * where what the group has read is not what Kafka has now.
 */
export const planReplay = async (
  sql: Sql,
  { handler, group, topic, again }: ReplayWish,
  offered: readonly Offered[],
): Promise<ReplayPlan> => {
  const rows = await readWatermarks(sql, { group, topics: [topic] });
  const watermarks = new Map(rows.map((row) => [row.partition, row.next]));
  for (const one of offered) {
    const mark = rows.find((row) => row.partition === one.partition);
    if (!mark || (mark.haltedAt === null && isOfLog(mark, one))) continue;
    const why = mark.haltReason ?? "Kafka has another log than the one that was read";
    throw fault("conflict", `${topic}/${one.partition} cannot be replayed: ${why}`);
  }
  const ranges = offered.flatMap(({ partition, low, high, begin }) => {
    const until = Math.min(watermarks.get(partition) ?? low, high);
    const from = Math.max(low, begin);
    return from < until ? [{ partition, begin: from, until }] : [];
  });
  const [counted] = await sql<{ known: number }[]>`
    select count(*)::int as known from outrider.inbox i
    join unnest(
      ${ranges.map((one) => one.partition)}::int[], ${ranges.map((one) => one.begin)}::bigint[],
      ${ranges.map((one) => one.until)}::bigint[]
    ) as planned (partition, begin, until)
      on i.partition = planned.partition and i."offset" >= planned.begin
        and i."offset" < planned.until
    where i.handler = ${handler} and i.topic = ${topic}`;
  return {
    ranges,
    records: ranges.reduce((sum, { begin, until }) => sum + until - begin, 0),
    known: again ? 0 : (counted?.known ?? 0),
    unread: offered.map((one) => one.partition).filter((one) => !watermarks.has(one)),
  };
};

/** Throws `not_found` when there is nothing to read. */
export const createReplay = async (
  tx: TransactionSql,
  { handler, topic, again }: ReplayWish,
  { by, reason, ranges }: Readonly<{ by: string; reason: string; ranges: ReplayPlan["ranges"] }>,
): Promise<number> => {
  if (ranges.length === 0) throw fault("not_found", "There is nothing to read again");
  const [made] = await tx<{ id: string }[]>`
    insert into outrider.replays (handler, ran_as, topic, by, reason)
    values (${handler}, ${handler}, ${topic}, ${by}, ${reason})
    returning id`;
  if (!made) throw new Error("no row");
  if (again) {
    await tx`
      update outrider.replays set ran_as = handler || '#' || id where id = ${made.id}`;
  }
  await tx`
    insert into outrider.replay_ranges (replay, partition, begin, next, until)
    select ${made.id}, partition, begin, begin, until
    from unnest(
      ${ranges.map((one) => one.partition)}::int[], ${ranges.map((one) => one.begin)}::bigint[],
      ${ranges.map((one) => one.until)}::bigint[]
    ) as planned (partition, begin, until)`;
  return Number(made.id);
};

export type ReplayState = "running" | "done" | "cancelled";

export type ReplaySummary = Readonly<{
  id: number;
  state: ReplayState;
  handler: string;
  /** The name under which the inbox knows its events. */
  ranAs: string;
  topic: string;
  by: string;
  reason: string;
  createdAt: Date;
  changedAt: Date;
}>;

export type Replay = ReplaySummary &
  Readonly<{
    ranges: readonly (PlannedRange & Readonly<{ next: number }>)[];
    records: number;
    /** Of the records: below them everything has an outcome. */
    passed: number;
    /** Under a name of its own: events that wait for another try, and that were given up. */
    parked: number;
    dead: number;
  }>;

const columns = (sql: Sql | TransactionSql) => sql`
  r.id, r.state, r.handler, r.ran_as as "ranAs", r.topic, r.by, r.reason,
  r.created_at as "createdAt", r.changed_at as "changedAt"`;

type Row = Omit<ReplaySummary, "id"> & { id: string };

export type ReplayPage = Page & Readonly<{ state?: ReplayState | undefined }>;

/** The newest first. */
export const listReplays = async (
  sql: Sql | TransactionSql,
  { limit, before, state }: ReplayPage,
): Promise<ReplaySummary[]> => {
  const rows = await sql<Row[]>`
    select ${columns(sql)} from outrider.replays r
    where ${before === undefined ? sql`true` : sql`r.id < ${before}`}
      and ${state === undefined ? sql`true` : sql`r.state = ${state}`}
    order by r.id desc limit ${limit}`;
  return rows.map((row) => ({ ...row, id: Number(row.id) }));
};

/** Throws `not_found`. */
export const readReplay = async (sql: Sql | TransactionSql, id: number): Promise<Replay> => {
  const [row] = await sql<(Row & { parked: number; dead: number })[]>`
    select ${columns(sql)},
      case when r.ran_as = r.handler then 0 else (
        select count(*)::int from outrider.parked p
        where p.handler = r.ran_as and p.state = 'due'
      ) end as parked,
      case when r.ran_as = r.handler then 0 else (
        select count(*)::int from outrider.dead_letters letter
        where letter.handler = r.ran_as and letter.state = 'open'
      ) end as dead
    from outrider.replays r where r.id = ${id}`;
  if (!row) throw fault("not_found", `There is no replay ${id}`);
  const ranges = await sql<Replay["ranges"][number][]>`
    select partition, begin::float8, next::float8, until::float8
    from outrider.replay_ranges where replay = ${id} order by partition`;
  const sum = (of: (range: Replay["ranges"][number]) => number) =>
    ranges.reduce((total, range) => total + of(range), 0);
  return {
    ...row,
    id,
    ranges: [...ranges],
    records: sum(({ begin, until }) => until - begin),
    passed: sum(({ begin, next }) => next - begin),
  };
};

/**
 * One whose process has ended goes on; of one that is done, what was redriven since is run. Throws
 * `not_found`, or `conflict` when it is cancelled.
 */
export const resumeReplay = async (tx: TransactionSql, id: number): Promise<void> => {
  const resumed = await tx`
    update outrider.replays set state = 'running', changed_at = clock_timestamp()
    where id = ${id} and state <> 'cancelled'`;
  if (resumed.count === 0) await refuse(tx, id);
};

/** What has been run stays so. Throws `not_found`, or `conflict` when it is over. */
export const cancelReplay = async (tx: TransactionSql, id: number): Promise<void> => {
  const cancelled = await tx`
    update outrider.replays set state = 'cancelled', changed_at = clock_timestamp()
    where id = ${id} and state = 'running'`;
  if (cancelled.count === 0) await refuse(tx, id);
};

const refuse = async (tx: TransactionSql, id: number): Promise<never> => {
  const { state } = await readReplay(tx, id);
  throw fault("conflict", `Replay ${id} is ${state}`);
};
