/** One transaction of one handler: the inbox rows first, then its effects, then what it emits. */

import { fault } from "@outrider/event";
import type { Emit, Envelope, Log } from "@outrider/event";
import type { Transaction } from "@outrider/postgres";
import type { Delivery } from "./delivery.ts";
import type { Handler } from "./handler.ts";
import { recordHandled } from "./record-handled.ts";

/**
 * Runs work in a transaction and writes what it emits at the end; nothing of it stays when it
 * throws. The app wires it to its outbox, which this package does not know.
 */
export type Transact = <T>(work: (tx: Transaction, emit: Emit) => Promise<T>) => Promise<T>;

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

/** Returns how many events ran; the others had run before. Throws what the handler throws. */
export const runBatch = async (transact: Transact, run: Run): Promise<number> => {
  const { handler, deliveries } = run;
  const [first] = deliveries;
  if (!first) return 0;
  const { topic, partition } = first.record;
  const events = firstById(deliveries, handler);
  return transact(async (tx, emit) => {
    const fresh = await recordHandled(tx, {
      statementTimeoutMs: handler.timeoutMs + graceMs,
      handler: handler.name,
      topic,
      partition,
      events: [...events].map(([eventId, { offset }]) => ({ eventId, offset })),
    });
    const chosen = [...events.values()].map((one) => one.event).filter((one) => fresh.has(one.id));
    if (chosen.length > 0) await runInTime(run, chosen, { tx, emit });
    return chosen.length;
  });
};

/** Two records of one event would both see that its row is new: only the first counts. */
const firstById = (deliveries: readonly Delivery[], handler: Handler) => {
  const events = new Map<string, { event: Envelope; offset: number }>();
  for (const delivery of deliveries) {
    const event = delivery.eventFor(handler);
    if (!events.has(event.id)) events.set(event.id, { event, offset: delivery.record.offset });
  }
  return events;
};

/**
 * The transaction is rolled back when time is up, whether the handler has returned or not; what it
 * still tries then is refused, since the transaction is sealed.
 */
const runInTime = async (
  { handler, attempt, log, stopping }: Run,
  events: readonly Envelope[],
  unit: Readonly<{ tx: Transaction; emit: Emit }>,
): Promise<void> => {
  const timeout = AbortSignal.timeout(handler.timeoutMs);
  const signal = AbortSignal.any([timeout, stopping]);
  const running = handler.run(events, { ...unit, attempt, log, signal });
  // When it loses the race, its failure is of no interest any more.
  running.catch(() => {});
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
