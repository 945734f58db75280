/**
 * Writing events in the transaction that causes them.
 *
 * **The rule that writers must keep: lock the aggregate's row (UPDATE, SELECT FOR UPDATE, or an
 * executed compare-and-set on its version) before its event is written.** The event's position is
 * drawn when it is written; only the row lock makes the order of positions the order of commits.
 * SERIALIZABLE, FOR SHARE or a version check at commit do not replace it, and an event's key must
 * not be coarser than the row that is locked. `transact` writes at the end of the transaction,
 * which is after every lock that its callback takes.
 */

import { fault } from "@outrider/event";
import type { Catalogue, Emit, Envelope } from "@outrider/event";
import { guardTransaction } from "@outrider/postgres";
import type { Database, Transaction } from "@outrider/postgres";
import { createHint } from "./hint.ts";
import { insertRows } from "./insert.ts";
import { rowOf } from "./row.ts";
import { createUnit, endUnit, sealUnit } from "./unit.ts";
import type { Unit } from "./unit.ts";

type Events = readonly [Envelope, ...Envelope[]];

/** A piece of business in one transaction. What it emits is written when it ends. */
export type Work<T> = (tx: Transaction, emit: Emit) => Promise<T>;

export type Outbox = Readonly<{
  /**
   * Writes events now, before whatever was emitted and still waits. Throws `event_invalid`,
   * `event_too_large`, `event_unknown` or `topic_unknown`: let it roll the transaction back.
   */
  write(tx: Transaction, ...events: Events): Promise<void>;
  /**
   * Runs `work` in a transaction of its own, or in a savepoint where a transaction is given, and
   * writes what it emitted in one statement at the end. Events of a savepoint that is rolled back
   * are dropped with it; drizzle's own `tx.transaction` inside of it is such a savepoint, too.
   * Throws what `work`, `write` or Postgres throws, and `transaction_ended` when a unit of work
   * inside of it was not awaited; then nothing is stored.
   */
  transact<T>(db: Database | Transaction, work: Work<T>): Promise<T>;
}>;

export type OutboxSettings = Readonly<{
  /** Relays are told of commits at most once in so many milliseconds; 0: never. */
  hintMs?: number;
  /** How far ahead of this process's clock an event may say that it occurred, milliseconds. */
  occurredAheadMaxMs?: number;
  /** This process's clock, milliseconds since 1970. */
  nowMs?: () => number;
}>;

const dayMs = 86_400_000;
const defaults = { hintMs: 5, occurredAheadMaxMs: dayMs, nowMs: Date.now } as const;

export const createOutbox = (catalogue: Catalogue, settings: OutboxSettings = {}): Outbox => {
  const { hintMs, ...bounds } = { ...defaults, ...settings };
  const rules = { catalogue, ...bounds };
  const units = new WeakMap<Database | Transaction, Unit>();
  const hints = new WeakMap<Database | Transaction, () => void>();

  const hint = (db: Database | Transaction): void => {
    if (hintMs === 0 || !("$client" in db)) return;
    const known = hints.get(db) ?? createHint(db, hintMs);
    hints.set(db, known);
    known();
  };

  const write = (tx: Transaction, ...events: Events): Promise<void> =>
    insertRows(
      tx,
      events.map((event) => rowOf(rules, event)),
    );

  const run = async <T>(tx: Transaction, unit: Unit, work: Work<T>): Promise<T> => {
    const value = await work(tx, unit.emit);
    unit.close();
    if (unit.open.size > 0) {
      throw fault("transaction_ended", "A transaction inside of this one was not awaited");
    }
    return value;
  };

  const transact = async <T>(db: Database | Transaction, work: Work<T>): Promise<T> => {
    const outer = units.get(db);
    const unit = createUnit(rules);
    let inserted: Promise<void> | undefined;
    const running = begin(db, async (tx) => {
      units.set(tx, unit);
      unit.end = guardTransaction(tx);
      try {
        adopt(tx, (inner) => transact(tx, inner));
        const value = await run(tx, unit, work);
        // Sent and not waited for here, so that COMMIT goes out right behind it.
        if (!outer && unit.rows.length > 0) inserted = insertRows(tx, unit.rows);
        inserted?.catch(() => {});
        return value;
      } finally {
        await endUnit(unit);
      }
    });
    outer?.open.set(unit, running);
    try {
      const value = await running;
      // A failing statement that nobody awaits may look like a commit to postgres.js.
      await inserted;
      if (inserted) hint(db);
      // Only now: a savepoint that was rolled back takes its events with it.
      outer?.rows.push(...unit.rows);
      return value;
    } catch (error) {
      // Whose connection is lost is over at once, while `work` may still run: it must learn that.
      sealUnit(unit);
      // Its failure says more than that of the COMMIT behind it.
      await inserted;
      throw error;
    } finally {
      outer?.open.delete(unit);
    }
  };

  return { write, transact };
};

type Begin = <T>(work: (tx: Transaction) => Promise<T>) => Promise<T>;

/** Drizzle's own way to open a savepoint, of the transactions whose `transaction` is ours. */
const originals = new WeakMap<Database | Transaction, Begin>();

const begin = <T>(db: Database | Transaction, work: (tx: Transaction) => Promise<T>): Promise<T> =>
  (originals.get(db) ?? db.transaction.bind(db))(work);

/** Makes a plain `tx.transaction(...)` a unit of work: its events keep their place. */
const adopt = (tx: Transaction, transaction: Begin): void => {
  originals.set(tx, tx.transaction.bind(tx));
  Object.assign(tx, { transaction });
};
