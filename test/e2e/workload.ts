/** What the shop's callers do, and what a test writes and takes back beside them. */

import { randomUUID } from "node:crypto";
import { createOutbox } from "@outrider/outbox";
import type { Database } from "@outrider/postgres";
import { cancelOrder } from "../../apps/shop/src/cancel-order.ts";
import { placeOrder } from "../../apps/shop/src/place-order.ts";
import { catalogue } from "../../apps/shop/src/topics.ts";

/** Numbers in [0, 1), the same for the same seed (mulberry32, by T. Ettinger; public domain). */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

const post = (url: string, body: unknown): Promise<Response> =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

const orderBody = (index: number, random: () => number, isValid: boolean) => ({
  customerId: `customer-${index % 37}`,
  currency: index % 5 === 0 ? "EUR" : "USD",
  lines: [
    {
      sku: `sku-${index % 11}`,
      quantity: isValid ? 1 + Math.floor(random() * 5) : 0,
      unitPriceMinor: 250,
    },
    { sku: "sku-wrap", quantity: 1, unitPriceMinor: Math.floor(random() * 1000) },
  ],
});

export type Outcome = Readonly<{ placed: string[]; cancelled: string[]; rejected: number }>;

export type OrderLoad = Readonly<{
  url: string;
  count: number;
  concurrency: number;
  random: () => number;
  /** After each order, with how many there were. */
  onProgress(done: number): void;
}>;

/** One order in ten is invalid, one of four valid ones is cancelled. Throws on another answer. */
export const driveOrders = async (load: OrderLoad): Promise<Outcome> => {
  const outcome: Outcome & { rejected: number } = { placed: [], cancelled: [], rejected: 0 };
  let next = 0;
  let done = 0;

  const one = async (index: number): Promise<void> => {
    const isValid = index % 10 !== 9;
    const answer = await post(`${load.url}/v1/orders`, orderBody(index, load.random, isValid));
    if (answer.status !== (isValid ? 201 : 422)) throw new Error(`order: ${answer.status}`);
    const { id } = (await answer.json()) as { id: string };
    if (!isValid) {
      outcome.rejected += 1;
      return;
    }
    outcome.placed.push(id);
    if (index % 4 !== 0) return;
    const cancelled = await post(`${load.url}/v1/orders/${id}/cancel`, { reason: "too late" });
    if (cancelled.status !== 200) throw new Error(`cancel: ${cancelled.status}`);
    outcome.cancelled.push(id);
  };

  const worker = async (): Promise<void> => {
    while (next < load.count) {
      await one(next++);
      load.onProgress(++done);
    }
  };
  await Promise.all(Array.from({ length: load.concurrency }, worker));
  return outcome;
};

const rollback = new Error("taken back on purpose");

/**
 * Transactions that take events back: wholly, or to a savepoint while the rest commits. Returns
 * the ids that were taken back.
 */
export const driveRollbacks = async (db: Database, count: number): Promise<Set<string>> => {
  const outbox = createOutbox(catalogue);
  const takenBack = new Set<string>();
  const input = {
    customerId: "customer-rollback",
    currency: "EUR",
    lines: [{ sku: "sku-1", quantity: 1, unitPriceMinor: 100 }],
  };
  const business = (isTakenBack: boolean) => ({
    now: () => new Date(),
    newId: () => {
      const id = randomUUID();
      if (isTakenBack) takenBack.add(id);
      return id;
    },
    cause: {},
  });

  const wholly = async (): Promise<void> => {
    const work = outbox.transact(db, async (tx, emit) => {
      await placeOrder({ tx, emit, ...business(true) }, input);
      throw rollback;
    });
    await work.catch(ignoreRollback);
  };

  const toSavepoint = (): Promise<unknown> =>
    outbox.transact(db, async (tx, emit) => {
      const { id: orderId } = await placeOrder({ tx, emit, ...business(false) }, input);
      const nested = outbox.transact(tx, async (savepoint, emitNested) => {
        const work = { tx: savepoint, emit: emitNested, ...business(true) };
        await cancelOrder(work, { orderId, reason: "never happened" });
        throw rollback;
      });
      await nested.catch(ignoreRollback);
    });

  for (let index = 0; index < count; index += 1) await (index % 2 ? wholly() : toSavepoint());
  return takenBack;
};

const ignoreRollback = (error: unknown): void => {
  if (error !== rollback) throw error;
};
