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
import { sealTransaction } from "@outrider/postgres";
import type { Database, Transaction } from "@outrider/postgres";
import { insertRows } from "./insert.ts";
import type { OutboxRow } from "./insert.ts";
import { rowOf } from "./row.ts";

type Events = readonly [Envelope, ...Envelope[]];

/** A piece of business in one transaction. What it emits is written when it ends. */
export type Work<T> = (tx: Transaction, emit: Emit) => Promise<T>;

export type Outbox = Readonly<{
  /**
   * Writes events now, in this transaction. Throws `event_invalid`, `event_too_large`,
   * `event_unknown` or `topic_unknown`: let it roll the transaction back.
   */
  write(tx: Transaction, ...events: Events): Promise<void>;
  /**
   * Runs `work` in a transaction of its own, or in a savepoint where a transaction is given, and
   * writes what it emitted in one statement at the end. Events of a savepoint that is rolled back
   * are dropped with it. Throws what `work`, `write` or Postgres throws; then nothing is stored.
   */
  transact<T>(db: Database | Transaction, work: Work<T>): Promise<T>;
}>;

export const createOutbox = (catalogue: Catalogue): Outbox => {
  // The buffer of each open unit of work, so that a nested one can hand its rows up.
  const buffers = new WeakMap<Database | Transaction, OutboxRow[]>();

  const write = (tx: Transaction, ...events: Events): Promise<void> =>
    insertRows(
      tx,
      events.map((event) => rowOf(catalogue, event)),
    );

  const transact = async <T>(db: Database | Transaction, work: Work<T>): Promise<T> => {
    const outer = buffers.get(db);
    const buffer = createBuffer(catalogue);
    const result = await db.transaction(async (tx) => {
      buffers.set(tx, buffer.rows);
      try {
        const value = await work(tx, buffer.emit);
        buffer.close();
        // Awaited: a failing statement that nobody awaits looks like a commit to postgres.js.
        if (!outer && buffer.rows.length > 0) await insertRows(tx, buffer.rows);
        return value;
      } finally {
        buffer.close();
        sealTransaction(tx);
      }
    });
    // Only now: a savepoint that was rolled back takes its events with it.
    outer?.push(...buffer.rows);
    return result;
  };

  return { write, transact };
};

/** Events are checked and encoded when they are emitted, so the caller sees what is wrong there. */
const createBuffer = (catalogue: Catalogue) => {
  const rows: OutboxRow[] = [];
  let open = true;
  const emit: Emit = (...events) => {
    if (!open) throw fault("emit_after_end", "Events were emitted after their work had ended");
    rows.push(...events.map((event) => rowOf(catalogue, event)));
  };
  const close = () => {
    open = false;
  };
  return { rows, emit, close };
};
