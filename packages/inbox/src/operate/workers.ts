/** The processes that run handlers, as they say themselves. */

import type { Sql } from "@outrider/postgres";

export type WorkerStatus = Readonly<{
  instance: string;
  /** For people: host and process. */
  name: string;
  startedAt: Date;
  /** False: it has ended without a word, or is cut off; forgotten an hour later. */
  isAlive: boolean;
  /** What it has counted since it started. */
  handlers: readonly Readonly<{
    name: string;
    handled: number;
    failed: number;
    /** Handled between its last two beats. */
    ratePerS: number;
  }>[];
}>;

type Row = Omit<WorkerStatus, "handlers"> &
  Readonly<{ stats: Record<string, Omit<WorkerStatus["handlers"][number], "name">> }>;

export const readWorkers = async (sql: Sql): Promise<WorkerStatus[]> => {
  const rows = await sql<Row[]>`
    select instance, name, started_at as "startedAt", deadline >= clock_timestamp() as "isAlive",
      stats
    from outrider.workers order by name, instance`;
  return rows.map(({ stats, ...worker }) => ({
    ...worker,
    handlers: Object.entries(stats).map(([name, counts]) => ({ name, ...counts })),
  }));
};
