/**
 * A handler: a named function that is run for events. Its name is stored in tables, so renaming
 * one is a migration. Its effects in Postgres belong into the transaction that it is given: they
 * happen once, together with the record that they did. Anything outside is told `event.id` as its
 * idempotency key.
 */

import type { Backoff, Emit, EventDefinition, EventOf, Log } from "@outrider/event";
import type { Envelope } from "@outrider/event";
import type { Transaction } from "@outrider/postgres";

export type HandlerContext = Readonly<{
  /** The handler's own writes; it is over when `run` has returned or its time limit has passed. */
  tx: Transaction;
  /** Written at the end of the transaction. */
  emit: Emit;
  /** 1 for the first run of this event alone, or of its batch; all of an event's runs, external. */
  attempt: number;
  log: Log;
  /** Aborted when the time limit has passed, or when the worker cannot wait any longer. */
  signal: AbortSignal;
}>;

type Options<E extends EventDefinition> = Readonly<{
  /** Qualified by the app: `shop.order-summary`. */
  name: string;
  on: readonly E[];
  /** Consumer group; the app's by default. A slow handler gets a group of its own. */
  group?: string;
  /** Limit of one run, at most 25,000: the server ends an idle transaction at 30,000. */
  timeoutMs?: number;
  /** Most events of one transaction. */
  batchSizeMax?: number;
  /** Transactions of one partition at the same time, of different keys. */
  concurrency?: number;
  /**
   * `external`: it does something that no transaction holds, such as a call to another service.
   * Then each event has a run of its own, recorded before it starts and when it has ended; the
   * event's id is the idempotency key to send along.
   */
  effects?: Effects;
  /** `key`: what fails holds what is behind it in its key. `none`: each event is for itself. */
  ordering?: "key" | "none";
  /** Runs of an event that fails by its own fault, and the pauses between them. */
  retry?: Partial<Retry>;
  /** What happens behind an event that is given up: `hold` where there is an order to keep. */
  onBury?: OnBury;
}>;

export type Effects = "transactional" | "external";

export type Retry = Backoff &
  Readonly<{
    attemptsMax: number;
    /** Longest delay that a failure may ask for, such as a service by its `Retry-After`. */
    retryAfterMaxMs: number;
    /** Longest pause between two looks whether a handler knows an event's version by now. */
    versionRetryMaxMs: number;
  }>;

/** What becomes of the events behind a dead one of their key. */
export type OnBury = "hold" | "skip";

export type Handler = Readonly<{
  name: string;
  group: string | undefined;
  timeoutMs: number;
  batchSizeMax: number;
  concurrency: number;
  effects: Effects;
  ordering: "key" | "none";
  retry: Retry;
  onBury: OnBury;
  topics: readonly string[];
  /** Whether it asked for the type, in any version. */
  knows(type: string): boolean;
  /** Undefined for types and versions that the handler did not ask for. */
  definitionOf(type: string, version: number): EventDefinition | undefined;
  /** Events are in order; with one event when a batch is run again one by one. */
  run(events: readonly Envelope[], context: HandlerContext): Promise<void>;
}>;

const defaults = {
  timeoutMs: 10_000,
  batchSizeMax: 100,
  concurrency: 1,
  ordering: "key",
  effects: "transactional",
} as const;
/** Together some two hours. */
const retryDefaults: Retry = {
  ...{ attemptsMax: 16, baseMs: 1000, capMs: 900_000 },
  ...{ retryAfterMaxMs: 3_600_000, versionRetryMaxMs: 60_000 },
};
const timeoutMaxMs = 25_000;
/** It stands in indexes, whose entries have room for 2,700 bytes. */
const nameCharsMax = 200;

/** A handler that is given one event at a time; several may share a transaction, in order. */
export const defineHandler = <const E extends EventDefinition>(
  options: Options<E> &
    Readonly<{ run(event: EventOf<E>, context: HandlerContext): Promise<void> }>,
): Handler =>
  handlerOf(options, async (events, context) => {
    for (const event of events) await options.run(event as EventOf<E>, context);
  });

/** A handler that is given all events of a transaction at once, in order. */
export const defineBatchHandler = <const E extends EventDefinition>(
  options: Options<E> &
    Readonly<{ run(events: readonly EventOf<E>[], context: HandlerContext): Promise<void> }>,
): Handler =>
  handlerOf(options, (events, context) => options.run(events as readonly EventOf<E>[], context));

const handlerOf = <E extends EventDefinition>(
  options: Options<E>,
  run: Handler["run"],
): Handler => {
  const chosen = { ...defaults, ...options };
  const { name, on, group, timeoutMs, concurrency, ordering, effects } = chosen;
  const isExternal = effects === "external";
  if (isExternal && (options.batchSizeMax ?? 1) > 1) {
    throw new RangeError(`${name}: what is external runs one event at a time`);
  }
  const batchSizeMax = isExternal ? 1 : chosen.batchSizeMax;
  const { onBury = ordering === "key" ? "hold" : "skip" } = options;
  const retry = { ...retryDefaults, ...options.retry };
  if (name === "" || name.length > nameCharsMax || name.includes("\0")) {
    throw new RangeError(`A handler's name has 1 to ${nameCharsMax} characters and no zero`);
  }
  checkRange(`${name}: timeoutMs`, timeoutMs, timeoutMaxMs);
  checkRange(`${name}: concurrency`, concurrency);
  checkRange(`${name}: batchSizeMax`, batchSizeMax);
  checkRange(`${name}: retry.attemptsMax`, retry.attemptsMax);
  const definitions = new Map(on.map((event) => [`${event.type}/${event.version}`, event]));
  const types = new Set(on.map((event) => event.type));
  return Object.freeze({
    name,
    group,
    timeoutMs,
    batchSizeMax,
    concurrency,
    effects,
    ordering,
    retry,
    onBury,
    topics: [...new Set(on.map((event) => event.topic))],
    knows: (type: string) => types.has(type),
    definitionOf: (type: string, version: number) => definitions.get(`${type}/${version}`),
    run,
  });
};

/** A limit of zero would stop the handler without a word. */
const checkRange = (name: string, value: number, max = Number.MAX_SAFE_INTEGER): void => {
  if (Number.isSafeInteger(value) && value >= 1 && value <= max) return;
  throw new RangeError(`${name} is ${value}, and has to be a whole number from 1 to ${max}`);
};
