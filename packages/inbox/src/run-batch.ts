/** One transaction of one handler: the inbox rows first, then its effects, then what it emits. */

import { fault } from "@outrider/event";
import type { Emit, Envelope, Log } from "@outrider/event";
import { rawSql } from "@outrider/postgres";
import type { Transaction } from "@outrider/postgres";
import { classify } from "./classify.ts";
import type { Delivery } from "./delivery.ts";
import type { ExternalAttempts } from "./external.ts";
import type { Handler } from "./handler.ts";
import { enqueueBehind, holdHead, keyName, keyOf, readBlocked } from "./parking/queue.ts";
import type { Waiting } from "./parking/queue.ts";
import { recordHandled } from "./record-handled.ts";

/**
 * Runs work in a transaction and writes what it emits at the end; nothing of it stays when it
 * throws. The app wires it to its outbox, which this package does not know.
 */
export type Transact = <T>(work: (tx: Transaction, emit: Emit) => Promise<T>) => Promise<T>;

export type RunDeps = Readonly<{
  transact: Transact;
  attempts: ExternalAttempts;
  /** A handler's own code starts to run, or has ended. */
  onRun?(handler: string, isRunning: boolean): void;
}>;

/** A statement is ended by the server this much later than the handler, if it still runs then. */
const graceMs = 250;

export type Run = Readonly<{
  handler: Handler;
  /** Of one partition, in order. */
  deliveries: readonly Delivery[];
  attempt: number;
  log: Log;
  /** Aborted when the worker cannot wait any longer. */
  stopping: AbortSignal;
}>;

/** How many events ran (the others had run before), or the names of keys that are parked. */
export type BatchResult = Readonly<{ handled: number }> | Readonly<{ parked: Set<string> }>;

/**
 * Runs events whose keys are believed to be free. Where some are not, nothing of it stays, and it
 * says which. Throws what the handler throws.
 */
export const runBatch = async (deps: RunDeps, run: Run): Promise<BatchResult> => {
  const { handler, deliveries } = run;
  const [first] = deliveries;
  if (!first) return { handled: 0 };
  const { topic } = first.record;
  const firsts = firstById(deliveries);
  const events = [...firsts.values()].map((one) => one.eventFor(handler));
  let parked = new Set<string>();
  try {
    return await deps.transact(async (tx, emit) => {
      const recording = record(tx, run, firsts);
      // The second statement sees what was committed while the first one waited: one statement for
      // both would look for heads on the snapshot of before that wait, and find none.
      const keys = [
        ...new Map(deliveries.map((one) => [queueKeyName(handler, one), one])).values(),
      ];
      const [fresh, found] = await Promise.all([
        recording,
        readBlocked(
          rawSql(tx),
          { handler: handler.name, topic },
          keys.map((one) => queueKeyOf(handler, one)),
        ),
      ]);
      parked = found;
      if (parked.size > 0) throw fault("conflict", "Some keys of a batch are parked");
      const chosen = events.filter((one) => fresh.has(one.id));
      if (chosen.length > 0) await runInTime({ ...deps, ...run }, chosen, { tx, emit });
      return { handled: chosen.length };
    });
  } catch (error) {
    if (parked.size > 0) return { parked };
    throw error;
  }
};

/**
 * Runs events of one key that may be parked: then they are parked, too, behind what is there.
 * Returns how many ran.
 */
export const runUnit = async (deps: RunDeps, run: Run): Promise<number> => {
  const { handler, deliveries } = run;
  const [first] = deliveries;
  if (!first) return 0;
  const { topic } = first.record;
  const unit = { handler: handler.name, topic, key: queueKeyOf(handler, first) };
  return deps.transact(async (tx, emit) => {
    const sql = rawSql(tx);
    const firsts = firstById(deliveries);
    const [fresh, head] = await Promise.all([record(tx, run, firsts), holdHead(sql, unit)]);
    const waiting = [...firsts.values()].filter((one) => fresh.has(one.eventId));
    if (waiting.length === 0) return 0;
    if (head !== undefined) {
      await enqueueBehind(sql, { head, handler: handler.name }, waiting);
      return 0;
    }
    const events = waiting.map((one) => one.eventFor(handler));
    await runInTime({ ...deps, ...run }, events, { tx, emit });
    return events.length;
  });
};

/** Events of which each is for itself are keys of their own. */
export const queueKeyOf = (handler: Handler, waiting: Waiting): Uint8Array =>
  handler.ordering === "none" ? Buffer.from(waiting.eventId) : keyOf(waiting);

export const queueKeyName = (handler: Handler, waiting: Waiting): string =>
  keyName(queueKeyOf(handler, waiting));

const record = (
  tx: Transaction,
  { handler, deliveries }: Run,
  firsts: ReadonlyMap<string, Delivery>,
): Promise<Set<string>> => {
  const { topic, partition } = (deliveries[0] as Delivery).record;
  return recordHandled(tx, {
    statementTimeoutMs: handler.timeoutMs + graceMs,
    handler: handler.name,
    topic,
    partition,
    events: [...firsts].map(([eventId, one]) => ({ eventId, offset: one.record.offset })),
  });
};

/** Of an event that comes twice the first record counts: it has its place in the order. */
export const firstById = (deliveries: readonly Delivery[]): Map<string, Delivery> => {
  const firsts = new Map<string, Delivery>();
  for (const one of deliveries) if (!firsts.has(one.eventId)) firsts.set(one.eventId, one);
  return firsts;
};

type HowToRun = Omit<Run, "deliveries"> & Pick<RunDeps, "attempts" | "onRun">;
type UnitOfWork = Readonly<{ tx: Transaction; emit: Emit }>;

/** Runs the handler's own code; attempts of what is external are recorded. */
export const runInTime = async (
  how: HowToRun,
  events: readonly Envelope[],
  unit: UnitOfWork,
): Promise<void> => {
  const { handler, attempts } = how;
  const [event] = events;
  if (handler.effects !== "external" || !event) return race(how, events, unit);
  const n = await attempts.begin(handler.name, event.id);
  const attempt = { handler: handler.name, eventId: event.id, n };
  try {
    await race({ ...how, attempt: n }, events, unit);
  } catch (error) {
    await attempts.end({ ...attempt, outcome: classify(error).code });
    throw error;
  }
  await attempts.end({ ...attempt, outcome: "ok" });
};

/**
 * The transaction is rolled back when time is up, whether the handler has returned or not; what it
 * still tries then is refused, since the transaction is sealed.
 */
const race = async (
  { handler, attempt, log, stopping, onRun }: HowToRun,
  events: readonly Envelope[],
  unit: UnitOfWork,
): Promise<void> => {
  const timeout = AbortSignal.timeout(handler.timeoutMs);
  const signal = AbortSignal.any([timeout, stopping]);
  onRun?.(handler.name, true);
  // Also what it throws before it returns a promise.
  const running = Promise.try(() => handler.run(events, { ...unit, attempt, log, signal }));
  // When it loses the race, its failure is of no interest any more.
  const over = () => onRun?.(handler.name, false);
  running.then(over, over);
  await Promise.race([running, rejectOn(signal, handler)]);
};

const rejectOn = (signal: AbortSignal, { name, timeoutMs }: Handler): Promise<never> =>
  new Promise((_, reject) => {
    const end = () => {
      const why = `${name} did not finish within ${timeoutMs} ms, or the worker had to stop`;
      reject(fault("handler_timeout", why));
    };
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
