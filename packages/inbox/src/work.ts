/** What lanes do with deliveries, on Postgres. */

import type { Log } from "@outrider/event";
import type { Sql } from "@outrider/postgres";
import { askedDelayOf, classify, isRefused } from "./classify.ts";
import type { Delivery } from "./delivery.ts";
import { createExternalAttempts } from "./external.ts";
import type { Handler } from "./handler.ts";
import type { LaneWork } from "./lane.ts";
import type { WriteRecord } from "./parking/dead-letter-record.ts";
import { recordFailure } from "./parking/failed-attempts.ts";
import { buryRefused, refusedCode } from "./parking/last-resort.ts";
import { buryNew, park, parkUnrun } from "./parking/outcome.ts";
import { retryDelayMs } from "./retry-delay.ts";
import { firstById, queueKeyOf, runBatch, runUnit } from "./run-batch.ts";
import type { RunDeps, Transact } from "./run-batch.ts";

export type WorkDeps = Readonly<{
  sql: Sql;
  log: Log;
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
  const { sql, transact, onRun } = deps;
  const ofRun = { transact, attempts: createExternalAttempts(sql), ...(onRun && { onRun }) };
  return {
    noteTry: async ({ name: handler }, { eventId }, failure) => {
      // For people to read, nothing hangs on it: where it cannot be written, it is left out.
      await recordFailure(sql, { handler, eventId, attempt: 1, failure, end: "failed" }).catch(
        () => {},
      );
    },
    batch: (run) => runBatch(ofRun, run),
    unit: (run) => runUnit(ofRun, run),
    ...createStoring(deps),
  };
};

/** Outcomes of events that have not been handled. */
const createStoring = (deps: WorkDeps): Pick<LaneWork, "putAway" | "parkUnrun"> => {
  const { sql, random } = deps;

  const storeFailure: LaneWork["putAway"] = async (handler, delivery, error) => {
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
    const asked = { askedMs: askedDelayOf(error), random };
    const delayMs = retryDelayMs(retry, { kind: failure.kind, runs: 1, ...asked });
    const parked = { waiting, key, delayMs, failure };
    if (await sql.begin((tx) => park(tx, name, parked))) deps.onParked?.(name, failure.code);
  };

  /** What Postgres refuses for good is given up as it is, so that its partition goes on. */
  const lastResort = async (handler: Handler, delivery: Delivery, error: unknown) => {
    if (!isRefused(error)) throw error;
    const refusal = classify(error);
    const { eventId, record } = delivery;
    const { name, onBury } = handler;
    const waiting = { eventId, record };
    const refused = { waiting, key: queueKeyOf(handler, delivery), onBury, refusal };
    if (!(await sql.begin((tx) => buryRefused(tx, name, refused)))) return 0;
    deps.log.error({ handler: name, eventId, ...refusal }, "an event's outcome is refused");
    deps.onBuried?.(name, refusedCode);
    return 1;
  };

  const putAway: LaneWork["putAway"] = (handler, delivery, error) =>
    storeFailure(handler, delivery, error).catch(async (refusal: unknown) => {
      await lastResort(handler, delivery, refusal);
    });

  const parkAll = (
    handler: Handler,
    deliveries: readonly Delivery[],
    isSuspect: (delivery: Delivery) => boolean,
  ) => {
    const events = [...firstById(deliveries).values()].map((delivery) => ({
      waiting: { eventId: delivery.eventId, record: delivery.record },
      key: queueKeyOf(handler, delivery),
      lost: isSuspect(delivery) ? 1 : 0,
    }));
    const { topic = "" } = deliveries[0]?.record ?? {};
    return sql.begin((tx) => parkUnrun(tx, { handler: handler.name, topic }, events));
  };

  return {
    putAway,
    parkUnrun: async (handler, deliveries, isSuspect = () => false) => {
      try {
        return await parkAll(handler, deliveries, isSuspect);
      } catch (error) {
        if (!isRefused(error)) throw error;
      }
      // One of them is to blame: each by itself.
      let parked = 0;
      for (const one of deliveries) {
        parked += await parkAll(handler, [one], isSuspect).catch((error: unknown) =>
          lastResort(handler, one, error),
        );
      }
      return parked;
    },
  };
};
