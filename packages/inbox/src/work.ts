/** What lanes do with deliveries, on Postgres. */

import { backoffMs, isFault } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { classify } from "./classify.ts";
import { createExternalAttempts } from "./external.ts";
import type { Handler } from "./handler.ts";
import type { LaneWork } from "./lane.ts";
import type { WriteRecord } from "./parking/dead-letter-record.ts";
import { recordFailure } from "./parking/failed-attempts.ts";
import { buryNew, park, parkUnrun } from "./parking/outcome.ts";
import { firstById, queueKeyOf, runBatch, runUnit } from "./run-batch.ts";
import type { RunDeps, Transact } from "./run-batch.ts";

export type WorkDeps = Readonly<{
  sql: Sql;
  transact: Transact;
  random(): number;
  /** Group of handlers that name none. */
  group: string;
  writeRecord: WriteRecord;
  onRun?: RunDeps["onRun"];
  onParked?(handler: string, code: string): void;
  onBuried?(handler: string, code: string): void;
}>;

export const createWork = (deps: WorkDeps): LaneWork => {
  const { sql, transact, random } = deps;
  const { onRun } = deps;
  const ofRun = { transact, attempts: createExternalAttempts(sql), ...(onRun && { onRun }) };
  const putAway: LaneWork["putAway"] = async (handler, delivery, error) => {
    const failure = classify(error);
    const { name, retry, onBury, group = deps.group } = handler;
    const waiting = { eventId: delivery.eventId, record: delivery.record };
    const key = queueKeyOf(handler, delivery);
    if (failure.kind === "fatal" || (failure.kind === "retryable" && retry.attemptsMax <= 1)) {
      const { writeRecord } = deps;
      const dead = { waiting, key, onBury, failure, error, group, writeRecord };
      const isBuried = await sql.begin((tx) => buryNew(tx, name, dead));
      if (isBuried) deps.onBuried?.(name, failure.code);
      return;
    }
    const delayMs = delayOf(handler, error, random);
    const parked = { waiting, key, delayMs, failure };
    if (await sql.begin((tx) => park(tx, name, parked))) deps.onParked?.(name, failure.code);
  };
  return {
    noteTry: async ({ name: handler }, { eventId }, failure) => {
      // For people to read, nothing hangs on it: where it cannot be written, it is left out.
      await recordFailure(sql, { handler, eventId, attempt: 1, failure, end: "failed" }).catch(
        () => {},
      );
    },
    batch: (run) => runBatch(ofRun, run),
    unit: (run) => runUnit(ofRun, run),
    putAway,
    parkUnrun: (handler, deliveries, why) => {
      const events = [...firstById(deliveries).values()].map((delivery) => ({
        waiting: { eventId: delivery.eventId, record: delivery.record },
        key: queueKeyOf(handler, delivery),
      }));
      const { topic = "" } = deliveries[0]?.record ?? {};
      const lost = why === "suspect" ? 1 : 0;
      return sql.begin((tx) => parkUnrun(tx, { handler: handler.name, topic, lost }, events));
    },
  };
};

const delayOf = ({ retry }: Handler, error: unknown, random: () => number): number =>
  (isFault(error) ? error.retryAfterMs : undefined) ?? backoffMs(1, retry, random);
