/**
 * Timers for parked keys, outside the database. It holds the truth, and runners look into it by
 * themselves; a timer only tells them in time. So losing all of them delays, and loses nothing.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { Log, OpenTimers, Timer, Timers } from "@outrider/event";
import type { Sql } from "@outrider/postgres";

export type Timing = Readonly<{
  /** Some keys may have a new due time. */
  nudge(): void;
  /** Throws what is wrong while timers cannot be set. */
  check(): Promise<void>;
  stop(): Promise<void>;
}>;

export type TimingDeps = Readonly<{
  sql: Sql;
  log: Log;
  openTimers: OpenTimers;
  /** A key is due. */
  onDue(): void;
  /** So many timers could not be set. */
  onTimersFailed?(count: number): void;
}>;

/** What comes together is timed together. */
const gatherMs = 20;
/** What is due this soon is not worth a timer. */
const soonMs = 50;
const timersMax = 1000;

export const startTiming = (
  queue: string,
  handlers: readonly string[],
  { sql, log, openTimers, onDue, onTimersFailed }: TimingDeps,
): Timing => {
  const stopping = new AbortController();
  const fired = new Set<string>();
  let wake = Promise.withResolvers<void>();

  const nudge = (): void => {
    wake.resolve();
  };
  const timers: Timers = openTimers(queue, (id) => {
    fired.add(id);
    onDue();
    nudge();
  });

  const set = async (due: readonly Timer[]): Promise<void> => {
    try {
      await timers.set(due);
    } catch (error) {
      onTimersFailed?.(due.length);
      throw error;
    }
  };

  const pass = async (): Promise<void> => {
    const early = [...fired];
    fired.clear();
    if (early.length > 0) await forgetEarly(sql, early);
    for (let taken = timersMax; taken === timersMax;) {
      const due = await takeUntimed(sql, handlers);
      if (due.length > 0) await set(due);
      taken = due.length;
    }
  };

  const live = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await wake.promise;
      await delay(gatherMs, undefined, stopping).catch(() => {});
      wake = Promise.withResolvers();
      // Without a timer it is found by looking, later.
      await pass().catch((error: unknown) => log.debug({ err: error }, "timers were not set"));
    }
  };
  const living = live();
  nudge();

  return {
    nudge,
    check: timers.check,
    stop: async () => {
      stopping.abort();
      wake.resolve();
      await living;
      await timers.close();
    },
  };
};

/** A timer that fired before its key was due, by another clock than the database's. */
const forgetEarly = (sql: Sql, heads: readonly string[]) => sql`
  update outrider.parked_heads set timer_at = null
  where id in (
    select id from outrider.parked_heads where id = any(${heads}::bigint[])
    order by handler, topic, key for update)
  and due_at > clock_timestamp() and timer_at = due_at`;

/** Keys without a timer for their due time; they count as timed from here on. */
const takeUntimed = async (sql: Sql, handlers: readonly string[]): Promise<Timer[]> => {
  const rows = await sql<{ id: string; delayMs: number }[]>`
    update outrider.parked_heads h set timer_at = due_at
    where id in (
      select id from outrider.parked_heads
      where handler = any(${handlers}::text[])
        and due_at > clock_timestamp() + ${soonMs} * interval '1 ms' and due_at < 'infinity'
        and timer_at is distinct from due_at
      limit ${timersMax}
      for update skip locked)
    returning id, (extract(epoch from due_at - clock_timestamp()) * 1000)::float8 as "delayMs"`;
  return rows.map(({ id, delayMs }) => ({ id, delayMs: Math.max(0, Math.ceil(delayMs)) }));
};
