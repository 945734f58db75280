/** Publishing the rows of a pass, and what became of them. */

import { isFault } from "@outrider/event";
import type { Refusal, RefusalScope } from "@outrider/event";
import { bytesOf } from "./aside.ts";
import type { Flight } from "./aside.ts";
import { assertCount } from "./epoch.ts";
import type { Batch, Epoch, PassDeps, PassLimits, ShardMemory, Turn } from "./epoch.ts";
import type { PendingRow } from "./read.ts";
import { recordOf } from "./record.ts";

/**
 * Publishes rows, removes them, and returns those that are in Kafka: all of them, unless a topic
 * is not acknowledged in time and set aside. Throws `publish_failed` at the first refusal.
 */
export const deliver = async (
  { rows, block }: Batch,
  { epoch, deps, memory }: Turn,
): Promise<readonly PendingRow[]> => {
  const startedMs = deps.monotonicMs();
  const flights = [...Map.groupBy(rows, (row) => row.topic)].map(([topic, ofTopic]) => ({
    topic,
    block,
    rows: ofTopic,
    delivery: epoch.publisher.publish(ofTopic.map(recordOf)),
  }));
  for (const flight of flights) epoch.flights.add(flight);
  const late = await waitFor(flights, epoch, deps.limits);
  for (const flight of flights) epoch.flights.delete(flight);
  const published = late.length === 0 ? rows : setAside(flights, late, { epoch, deps });
  await outlive(rows, late.length > 0, { epoch, deps, memory });
  await remove({ rows: published, block }, epoch, deps);
  memory.refused.forget(published);
  const { shard } = epoch.lease;
  for (const finding of memory.order.note(published)) deps.events.onDisorder?.(shard, finding);
  deps.events.onPublished?.(shard, published.length, deps.monotonicMs() - startedMs);
  return published;
};

/** Settles rows that are in Kafka. Throws `lease_lost` when some were not there any more. */
export const remove = async (
  { rows, block }: Batch,
  { lease }: Epoch,
  { store }: PassDeps,
): Promise<void> => {
  const ids = rows.map((row) => row.id);
  const count = block ? store.settleHeld(lease, { block, ids }) : store.settle(lease, ids);
  assertCount(lease, ids.length, await count);
};

/** As `deliver`, for rows that may end the process: which ones they were, outlives the process. */
export const deliverOnTrial = async (batch: Batch, turn: Turn): Promise<readonly PendingRow[]> => {
  const { epoch, deps, memory } = turn;
  const { rows } = batch;
  const last = rows.at(-1)?.id ?? 0;
  if (memory.trial.isOver()) return deliver(batch, turn);
  if (memory.trial.rowsMax() > 1) {
    await deps.store.markSuspects(epoch.lease, { last, rows: rows.length });
    epoch.assertOwned();
    return deliver(batch, turn);
  }
  return deps.alone(async () => {
    await deps.store.markTrying(epoch.lease, last);
    epoch.assertOwned();
    return deliver(batch, turn);
  });
};

/**
 * This process has handed rows to the client and lives: they are acknowledged, or it has waited
 * long for that. Whoever is next need not suspect them.
 */
const outlive = async (
  rows: readonly PendingRow[],
  isLate: boolean,
  { epoch: { lease }, deps: { store }, memory: { trial } }: Turn,
): Promise<void> => {
  if (trial.isOver()) return;
  trial.outlive(rows.length, rows.at(-1)?.id ?? 0);
  if (trial.isOver()) return store.markAlive(lease);
  // What is in Kafka may stay on record until the next batch: it is gone from the outbox.
  if (isLate) await store.markTrying(lease, null);
};

/** There is nothing left that an earlier owner may have ended of. */
export const endTrial = async ({ epoch, deps, memory: { trial } }: Turn): Promise<void> => {
  if (trial.isOver()) return;
  await deps.store.markAlive(epoch.lease);
  trial.end();
};

/** Waits until all is acknowledged, or not in time; returns the flights that are late. */
const waitFor = async (
  flights: readonly Flight[],
  epoch: Epoch,
  { stuckMs, batchBytesMax }: PassLimits,
): Promise<readonly Flight[]> => {
  let late = await lateOf(flights, stuckMs);
  // What is on its way is bounded: with too much of it, waiting is all that is left to do.
  while (late.length > 0 && !hasRoom(late, epoch, batchBytesMax)) {
    late = await lateOf(flights, stuckMs);
  }
  return late;
};

/** Returns the rows that are in Kafka. */
const setAside = (
  flights: readonly Flight[],
  late: readonly Flight[],
  { epoch, deps }: Pick<Turn, "epoch" | "deps">,
): readonly PendingRow[] => {
  const { shard } = epoch.lease;
  for (const flight of late) {
    const { topic } = flight;
    deps.log.warn({ shard, topic }, "a topic is not acknowledged in time; it is set aside");
    epoch.stuck.add(flight);
  }
  return flights.filter((one) => !late.includes(one)).flatMap((one) => one.rows);
};

const hasRoom = (late: readonly Flight[], { stuck }: Epoch, bytesMax: number): boolean => {
  const bytes = stuck.bytes();
  return bytes === 0 || bytes + late.reduce((sum, one) => sum + bytesOf(one.rows), 0) <= bytesMax;
};

/** Those flights that are not acknowledged after `ms`; none when all are, which may be sooner. */
const lateOf = async (flights: readonly Flight[], ms: number): Promise<Flight[]> => {
  const late = new Set(flights);
  const all = Promise.all(
    flights.map((flight) => flight.delivery.done.then(() => late.delete(flight))),
  );
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  try {
    await Promise.race([all, over]);
  } finally {
    clearTimeout(timer);
  }
  return [...late];
};

/**
 * A refusal ends the epoch. What it says about a record or a topic is kept for the next one;
 * returns it, or undefined when the failure is nothing of the kind.
 */
export const learn = (
  error: unknown,
  flights: Iterable<Flight>,
  { suspicion, refused }: ShardMemory,
): RefusalScope | undefined => {
  const flight = [...flights].find((one) => one.delivery.isRefused());
  if (!flight || !isFault(error, "publish_failed")) return undefined;
  const { scope, reason } = error.details as Refusal;
  if (scope === "topic") refused.add(flight.topic, error);
  if (scope === "record") {
    const ids = flight.rows.map((row) => row.id);
    suspicion.refuse(ids, { code: reason, message: error.message });
  }
  return scope;
};
